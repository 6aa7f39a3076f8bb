"""Integer arithmetic to the bit, and the proofs about it."""
