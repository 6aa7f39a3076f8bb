"""The network between two steps: tensors and nodes, how they are built, kept in files and said in ONNX."""
