"""Model files into float graphs."""
