"""From a model file's contents to the canonical graph."""
