"""From the float graph to the integer graph, and how far it is from the original."""
