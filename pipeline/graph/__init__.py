"""The network between two steps: tensors and nodes, how they are built, kept in files and written as ONNX."""
