"""Measurement of generated code: compilers, the footprint of the linked image, and the emulated chip."""
