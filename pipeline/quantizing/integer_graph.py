"""Float graph in, integer graph out: one scale per activation, int8 weights, int32 bias, proven accumulators."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from pipeline.arithmetic.fixedpoint import accumulator_bound, folded_bias
from pipeline.facts.disjoint_sets import DisjointSets
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import QuantParams, Tensor
from pipeline.importing.passes.expressions import join_functions
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.calibrate import Observed, Policy, choose, merged
from pipeline.quantizing.input_statistics import Moments
from pipeline.quantizing.quantizer import Proof, Quantizer
from pipeline.quantizing.weight_rounding import LEAST_SCALE


@dataclass(frozen=True, eq=False)
class Quantized:
    """The integer graph, the parameters of every float activation, the quantized constants, and the proofs."""

    graph: Graph
    params: Mapping[str, QuantParams]
    constants: Mapping[str, Tensor]
    proofs: tuple[Proof, ...]


def prepared(graph: Graph, policy: Policy) -> Graph:
    """The float graph as it is quantized: what is a function of one int8 value is one node, without scales inside."""
    return join_functions(graph) if _settled(graph, policy).dtype == "int8" else graph


def _settled(graph: Graph, policy: Policy) -> Policy:
    """The policy with the type of activations that the model file itself prescribes, where that is one."""
    kinds = {t.quant.dtype for t in graph.tensors.values() if t.data is None and t.quant is not None}
    return replace(policy, dtype=kinds.pop()) if len(kinds) == 1 else policy


def quantize(
    graph: Graph,
    observed: Mapping[str, Observed],
    policy: Policy,
    *,
    per_channel: bool,
    requantizer: str,
    widths: Widths = Widths(),  # noqa: B008
    seen: Mapping[str, Moments] = MappingProxyType({}),
) -> Quantized:
    """Post-training quantization.

    `requantizer` is `shift` or `multiplier`, or `auto`: shift wherever it can say the layer's scale. Weights of less
    than eight bits are fitted to what their layers were `seen` to read. Raises ChipfitError when `shift` is demanded
    and a layer's output is scaled up.
    """
    graph = prepared(graph, policy)
    params = activation_params(graph, observed, _settled(graph, policy))
    spans = {n: (o.low, o.high) for n, o in observed.items()}
    quantizer = Quantizer(graph, params, per_channel, requantizer, spans, widths, seen)
    for node in graph.nodes:
        node.quantize(quantizer)
    integer = quantizer.out.build(quantizer.inputs, quantizer.outputs(), graph.opset)
    integer.verify(integer=True)
    return Quantized(integer, params, quantizer.constants, tuple(quantizer.proofs))


def proofs(graph: Graph) -> tuple[Proof, ...]:
    """The accumulator bound of every linear layer of an integer graph."""
    made = []
    for node in graph.nodes:
        if isinstance(node, Linear) and node.rescale is not None:
            x = graph.tensors[node.inputs[0]]
            assert x.quant is not None
            weights = graph.constant(node.weights)
            weights = weights.reshape(len(weights), -1)
            folded = folded_bias(weights, graph.constant(node.bias), x.quant.zero_point)
            bound = accumulator_bound(weights, folded, -x.quant.limits[0])
            made.append(Proof(node.name, int(bound.max(initial=0)), node.rescale.kind))
    return tuple(made)


def activation_params(graph: Graph, observed: Mapping[str, Observed], policy: Policy) -> dict[str, QuantParams]:
    """One scale and zero point for every float activation; tied tensors share theirs.

    What the model file prescribes (`Tensor.quant`) is taken; the rest is chosen from `observed`. Raises
    ChipfitError for a tensor that has neither.
    """
    groups, pins = _groups(graph)
    roots = {m: root for root, members in groups.items() for m in members}
    again = _again(graph)
    fixed = {
        roots[n.output]: f for n in graph.nodes if n.output in roots and (f := n.fixed_output(policy.dtype)) is not None
    }
    params: dict[str, QuantParams] = {}
    for root, members in groups.items():
        shared = pins.get(root) or fixed.get(root)
        if shared is None:
            missing = [m for m in members if m not in observed]
            if missing:
                raise ChipfitError(
                    f"tensor {missing[0]!r} has no scale in the model file",
                    hint="Write data.calibration: an .npz file with typical inputs, from which it is chosen.",
                )
            counted = [m for m in members if m not in again] or members
            shared = choose(merged([observed[m] for m in counted]), policy)
            if shared.scale[0] < LEAST_SCALE:
                raise ChipfitError(
                    f"tensor {members[0]!r} holds values so small that float32 has no normal number for their scale",
                    hint="Train and calibrate in larger units: multiply the data by a power of two.",
                )
        params |= dict.fromkeys(members, shared)
    return params


def _again(graph: Graph) -> set[str]:
    """Activations that are others with more or fewer axes of size 1: their values count once."""
    views = [n for n in graph.nodes if n.is_view]
    shapes = {n: [d for d in t.shape if d != 1] for n, t in graph.tensors.items()}
    return {n.output for n in views if shapes[n.inputs[0]] == shapes[n.output]}


def unsettled(graph: Graph) -> list[str]:
    """The float activations whose scale the model file does not prescribe."""
    groups, pins = _groups(graph)
    return [m for root, members in groups.items() if root not in pins for m in members]


def _groups(graph: Graph) -> tuple[dict[str, list[str]], dict[str, QuantParams]]:
    """Float activations that share one scale, by their leader, and the scale that the file prescribes for a leader."""
    names = [n for n, t in graph.tensors.items() if t.data is None and t.dtype == "float32"]
    pins = {n: q for n in names if (q := graph.tensors[n].quant) is not None}
    sets = DisjointSets(names)
    for node in graph.nodes:
        for a, b in node.ties():
            if a in sets and b in sets:
                first, second = sets.find(a), sets.find(b)
                # Two prescribed scales stay two; the node between them requantizes. What could take a prescribed
                # one without loss has it already.
                if first != second and pins.get(first) == pins.get(second):
                    sets.join(first, second)
    return sets.groups(), pins
