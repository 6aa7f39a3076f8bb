"""Write AlexNet as one ONNX file: 61,100,840 parameters, 714,188,480 multiply-accumulates, 244 MB, random weights.

    python benchmarks/alexnet.py /tmp/alexnet.onnx

What a colleague might hand over for a chip that it can never fit: chipfit has to say so at once. The topology is
torchvision's `alexnet` (Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
arXiv:1404.5997) in evaluation mode for 224 x 224 images, where its adaptive pooling and its dropout are the identity.
The weights are seeded noise, scaled by He's rule so that no activation vanishes; the file is never committed.
"""

import sys
from math import prod, sqrt
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONVOLUTIONS = (  # weights (out, in, height, width), stride, padding, whether 3x3/2 max pooling follows
    ((64, 3, 11, 11), 4, 2, True),
    ((192, 64, 5, 5), 1, 2, True),
    ((384, 192, 3, 3), 1, 1, False),
    ((256, 384, 3, 3), 1, 1, False),
    ((256, 256, 3, 3), 1, 1, True),
)
DENSE = ((4096, 256 * 6 * 6), (4096, 4096), (1000, 4096))  # weights (out, in); Relu between them


def alexnet(seed: int = 0) -> onnx.ModelProto:
    """The network, opset 17, input (1, 3, 224, 224), output (1, 1000)."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    last = "input"

    def layer(op: str, extra: list[str], **attributes: object) -> None:
        nonlocal last
        name = f"{op.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(op, [last, *extra], [name], name=name, **attributes))
        last = name

    def parameters(name: str, shape: tuple[int, ...]) -> list[str]:
        kernel = rng.standard_normal(shape, np.float32) * np.float32(sqrt(2 / prod(shape[1:])))
        bias = rng.uniform(-0.05, 0.05, shape[0]).astype(np.float32)
        initializers.extend(
            numpy_helper.from_array(a, f"{name}.{what}") for what, a in (("weight", kernel), ("bias", bias))
        )
        return [f"{name}.weight", f"{name}.bias"]

    for index, (shape, stride, pad, pooled) in enumerate(CONVOLUTIONS):
        layer("Conv", parameters(f"features.{index}", shape), strides=[stride] * 2, pads=[pad] * 4)
        layer("Relu", [])
        if pooled:
            layer("MaxPool", [], kernel_shape=[3, 3], strides=[2, 2])
    layer("Flatten", [], axis=1)
    for index, matrix in enumerate(DENSE):
        layer("Gemm", parameters(f"classifier.{index}", matrix), transB=1)
        if index < len(DENSE) - 1:
            layer("Relu", [])

    ports = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 224, 224])]
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 1000])]
    graph = helper.make_graph(nodes, "alexnet", ports, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/alexnet.py FILE.onnx")
    Path(sys.argv[1]).write_bytes(alexnet().SerializeToString())
