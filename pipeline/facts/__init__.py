"""Facts that depend on no network: errors, units, cores, files, and the configuration of products and chips."""
