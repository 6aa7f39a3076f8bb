"""What measuring knows of machine code of any family: files, decoders, engines, and the Protocol of a family."""
