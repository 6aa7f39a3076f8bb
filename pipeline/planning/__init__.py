"""Which kernel computes each layer, in which order, in which memory."""
