"""What stands before any network is read: errors, units, cores, files, and what a product YAML says."""
