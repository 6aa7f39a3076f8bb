"""What compilers, the linked image and the emulated chip say of the generated code."""
