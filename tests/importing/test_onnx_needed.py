"""What no output depends on is not read, and so stops nothing."""

from test_onnx_graph import F, W, model_of, near, node, refused


def test_outputs_that_nobody_reads_stop_nothing() -> None:
    layer = node("Gemm", ["x", "w"], ["h"])
    nodes = [
        layer,
        node("Dropout", ["h"], ["a", "mask"]),
        node("Cast", ["mask"], ["lost"], to=F),
        node("Abs", ["a"], ["y"]),
    ]
    near(model_of(nodes, [1, 6], [1, 4], {"w": W}, opset=12))
    near(model_of([node("MaxPool", ["x"], ["y", "at"], kernel_shape=[2, 2])], [1, 2, 4, 4], [1, 2, 3, 3]))
    near(model_of([node("Neg", ["x"], ["y"]), node("Hardmax", ["x"], ["unknown"])], [1, 6], [1, 6]))


def test_a_mask_that_is_read_is_refused() -> None:
    nodes = [node("Dropout", ["x"], ["a", "m"], name="d"), node("Cast", ["m"], ["y"], to=F)]
    assert "Dropout node 'd': a mask output" in refused(model_of(nodes, [1, 6], [1, 6]))
