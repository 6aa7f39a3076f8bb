"""Machine code of any family: linked files, decoders, emulator engines, and the Protocol of a family."""
