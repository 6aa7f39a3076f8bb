"""What people and programs read of a product, and of all products beside each other."""
