"""Model files that would take the machine's time or memory: each is answered within 10 s and 1 GiB, in one sentence."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from bounded import bounded
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node as node

import pipeline.importing.onnx_graph
import pipeline.importing.passes  # noqa: F401
from pipeline.importing.onnx_lower_bounds import onnx_lower_bound
from pipeline.model_files.onnx_file import parse_onnx
from stages.import_model import read_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
ONES = np.ones(4, np.float32)


def net(
    nodes: list[onnx.NodeProto], constants: dict[str, object] | None = None, shape: tuple[int, ...] = (1, 4)
) -> onnx.ModelProto:
    """From `x` to `y`; what is made of constants alone ends in `c`, whose largest value is added to x."""
    if any("c" in n.output for n in nodes):
        nodes = [*nodes, node("Cast", ["c"], ["f"], to=1), node("ReduceMax", ["f"], ["m"], keepdims=0)]
        nodes.append(node("Add", ["x", "m"], ["y"]))
    inits = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    ports = [
        helper.make_tensor_value_info("x", 1, shape),
        helper.make_tensor_value_info("y", 1, list("abcd")[: len(shape)]),
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], inits)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def names(count: int) -> list[tuple[str, str]]:
    """Inputs and outputs of a chain from x to y."""
    inner = [f"t{i}" for i in range(count - 1)]
    return list(zip(["x", *inner], [*inner, "y"], strict=True))


def loop(trips: int) -> onnx.ModelProto:
    def port(name: str, kind: int, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    steps = [node("Identity", ["go"], ["on"]), node("Add", ["v", "v"], ["w"])]
    ins = [port("i", TensorProto.INT64, []), port("go", TensorProto.BOOL, []), port("v", 1, [4])]
    body = helper.make_graph(steps, "b", ins, [port("on", TensorProto.BOOL, []), port("w", 1, [4])])
    return net([node("Loop", ["n", "true", "v0"], ["c"], body=body)], {"n": trips, "true": True, "v0": ONES})


def functions(depth: int, calls: int, circle: bool = False) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    protos = []
    for level in range(depth):
        last = level == depth - 1
        steps = ["a", *(f"s{i}" for i in range(calls - 1)), "b"]
        callee, domain = ("Relu", "") if last and not circle else (f"f{(level + 1) % depth}", "d")
        body = [node(callee, [a], [b], domain=domain) for a, b in itertools.pairwise(steps)]
        protos.append(helper.make_function("d", f"f{level}", ["a"], ["b"], body, opsets))
    model = net([node("f0", ["x"], ["y"], domain="d")])
    model.opset_import.append(opsets[1])
    model.functions.extend(protos)
    return model


def branch(depth: int, shape: int) -> onnx.ModelProto:
    inner = helper.make_graph(
        [node("ConstantOfShape", ["s"], ["z0"])], "b", [], [helper.make_tensor_value_info("z0", 1, ["n"])]
    )
    for i in range(1, depth):
        outer = helper.make_tensor_value_info(f"z{i}", 1, ["n"])
        one = node("If", ["true"], [f"z{i}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([one], f"b{i}", [], [outer])
    return net([node("If", ["true"], ["c"], then_branch=inner, else_branch=inner)], {"true": True, "s": [shape]})


def many(count: int) -> onnx.ModelProto:
    nodes = [
        n
        for i in range(count)
        for n in (node("ConstantOfShape", ["s"], [f"c{i}"]), node("Add", [f"c{i}", "one"], [f"d{i}"]))
    ]
    return net([*nodes, node("Sum", [f"d{i}" for i in range(count)], ["c"])], {"s": [1 << 23], "one": ONES[:1]})


HOSTILE: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "loop": (lambda: loop(2**62), "Loop node 'Loop_0' of constants: how much work it is cannot be said before"),
    "functions": (lambda: functions(25, 2), "has more than 20000 nodes, counting every call of its functions"),
    "functions in a circle": (lambda: functions(10, 2, True), "has more than 20000 nodes"),
    "functions in a row": (lambda: functions(5000, 1), "Function call chain depth exceeds limit"),
    "ConstantOfShape": (
        lambda: net([node("ConstantOfShape", ["s"], ["c"])], {"s": [2**27]}),
        "it makes 134217728 values, the limit is 33554432. Hint: Let the exporter fold constants",
    ),
    "many constants": (lambda: many(200), "has more than 67108864 constant values"),
    "in a branch": (lambda: branch(8, 2**40), "it makes 1099511627776 values"),
    "broadcast": (
        lambda: net([node("Add", ["p", "q"], ["c"])], {"p": np.ones((60000, 1)), "q": np.ones((1, 60000))}),
        "it makes 3600000000 values",
    ),
    "broadcast of an input": (
        lambda: net([node("Add", ["x", "q"], ["y"])], {"q": np.ones((60000, 1), np.float32)}, (1, 60000)),
        "tensor 'y' of shape [60000, 60000] has more than 16777216 values. Hint: No microcontroller holds that.",
    ),
    "tile": (
        lambda: net([node("Tile", ["w", "r"], ["c"])], {"w": ONES, "r": [2**40]}),
        "it makes 4398046511104 values",
    ),
    "range": (
        lambda: net(
            [node("Range", ["a", "b", "d"], ["c"])], {"a": np.array(0), "b": np.array(2**40), "d": np.array(1)}
        ),
        "it makes 1099511627776 values",
    ),
    "doubling": (
        lambda: net(
            [node("Concat", [a, a], ["c" if b == "y" else b], axis=0) for a, b in [("w", "t0"), *names(40)[1:]]],
            {"w": ONES},
        ),
        "it makes 67108864 values",
    ),
    "index space": (
        lambda: net(
            [node("Einsum", list("pqrst"), ["c"], equation="a,b,c,d,e->")], dict.fromkeys("pqrst", np.ones(1000))
        ),
        "the constants of this model are more work than a network's are",
    ),
    "python loops": (
        lambda: net(
            [node("Resize", ["w", "", "s"], ["c"], mode="linear")],
            {"w": np.ones((1, 1, 64, 64), np.float32), "s": np.array([1, 1, 30, 30], np.float32)},
        ),
        "the constants of this model are more work",
    ),
    "one hot": (
        lambda: net(
            [node("OneHot", ["i", "d", "v"], ["c"])],
            {"i": np.zeros(10000, np.int64), "d": np.array(10**6), "v": np.array([0, 1])},
        ),
        "it makes 10000000000 values",
    ),
    "random": (lambda: net([node("RandomNormal", [], ["c"], shape=[4])]), "how much work it is cannot be said before"),
    "input": (lambda: net([node("Relu", ["x"], ["y"])], shape=(1, 2**28)), "input 'x' has no usable shape"),
    "growing": (
        lambda: net([node("Concat", [a] * 8, [b], axis=1) for a, b in names(30)]),
        "has more than 16777216 values",
    ),
    "padded": (
        lambda: net(
            [node("Conv", ["x", "w"], ["y"], pads=[2000] * 4)], {"w": np.ones((64, 1, 1, 1), np.float32)}, (1, 1, 9, 9)
        ),
        "has more than 16777216 values",
    ),
    "long": (
        lambda: net([node("MatMul", [a, "w"], [b]) for a, b in names(5000)], {"w": np.eye(4, dtype=np.float32)}),
        "has 5000 layers, the limit is 2000",
    ),
    "longer": (lambda: net([node("Relu", [a], [b]) for a, b in names(20001)]), "has more than 20000 nodes"),
    "split": (
        lambda: net(
            [node("Split", ["x"], [f"p{i}" for i in range(5000)], axis=1)]
            + [node("Add", [a, f"p{i}"], [b]) for i, (a, b) in enumerate([("p0", "t0"), *names(5000)[1:]])],
            shape=(1, 5000),
        ),
        "layers, the limit is 2000",
    ),
}
SLOW = ("long", "longer", "split", "many constants", "doubling")


def read(path: Path) -> object:
    onnx_lower_bound(parse_onnx(path, path.name))
    return read_model(path, path.name, "net")


def check(make: Callable[[], onnx.ModelProto], says: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    answer = bounded(lambda: read(path))
    assert answer.message.startswith("net.onnx: ") and "\n" not in answer.message, answer.message
    assert says in answer.message


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in SLOW])
def test_a_hostile_model_is_refused_before_it_takes_time_or_memory(name: str, tmp_path: Path) -> None:
    check(*HOSTILE[name], tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SLOW)
def test_a_hostile_model_that_must_be_read_first_is_refused(name: str, tmp_path: Path) -> None:
    check(*HOSTILE[name], tmp_path)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda: branch(2, 4), [0.0]),
        (
            lambda: net(
                [node("Range", ["a", "b", "d"], ["c"])], {"a": np.array(2), "b": np.array(9), "d": np.array(3)}
            ),
            [8.0],
        ),
        (lambda: net([node("MatMul", ["p", "q"], ["c"])], {"p": np.full((2, 3), 2.0), "q": np.ones((3, 2))}), [6.0]),
        (lambda: net([node("NonZero", ["p"], ["c"])], {"p": np.array([0, 1, 0, 1.0])}), [3.0]),
        (lambda: net([node("Einsum", ["p", "p"], ["c"], equation="i,i->")], {"p": np.full(3, 2.0)}), [12.0]),
    ],
)
def test_constants_of_a_network_are_still_evaluated(
    make: Callable[[], onnx.ModelProto], values: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(make().SerializeToString())
    graph = read_model(path, "net.onnx", "net")
    found = [t.data.reshape(-1).tolist() for t in graph.tensors.values() if t.data is not None]
    assert any(set(f) == set(values) for f in found) or values == [0.0], found


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Transpose", "Reshape"])
def test_a_chain_of_5000_nodes_answers(kind: str, tmp_path: Path) -> None:
    attributes = {"perm": [1, 0]} if kind == "Transpose" else {}
    more = ["s"] if kind == "Reshape" else []
    path = tmp_path / "net.onnx"
    model = net([node(kind, [a, *more], [b], **attributes) for a, b in names(5000)], {"s": [1, 4]})
    path.write_bytes(model.SerializeToString())
    message = bounded(lambda: read(path)).message
    assert "Traceback" not in message and "\n" not in message
