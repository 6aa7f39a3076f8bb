"""Float graph in, integer graph out: one scale per activation, int8 weights, int32 bias, proven accumulators."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pipeline.arithmetic.fixedpoint import accumulator_bound, folded_bias
from pipeline.facts.decisions import Decisions, LayerDecision
from pipeline.facts.disjoint_sets import DisjointSets
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import QuantParams, Tensor
from pipeline.importing.passes.expressions import join_functions
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.calibrate import Histogram, Policy, choose_params, merge_histograms
from pipeline.quantizing.input_statistics import InputStatistics
from pipeline.quantizing.locked import decided_params, observed_of
from pipeline.quantizing.quantizer import AccumulatorProof, Quantizer
from pipeline.quantizing.weight_rounding import LEAST_SCALE


@dataclass(frozen=True, eq=False)
class Quantized:
    """The integer graph, the parameters of every float activation, the quantized constants, and the proofs.

    `layers`: what was decided about each layer whose weights the model file does not prescribe.
    """

    graph: Graph
    params: Mapping[str, QuantParams]
    constants: Mapping[str, Tensor]
    proofs: tuple[AccumulatorProof, ...]
    layers: Mapping[str, LayerDecision] = field(default_factory=dict)


def join_int8_functions(graph: Graph, policy: Policy) -> Graph:
    """The float graph as it is quantized: what is a function of one int8 value is one node, without scales inside."""
    return join_functions(graph) if _with_prescribed_dtype(graph, policy).dtype == "int8" else graph


def _with_prescribed_dtype(graph: Graph, policy: Policy) -> Policy:
    """The policy with the type of activations that the model file itself prescribes, where that is one."""
    kinds = {t.quant.dtype for t in graph.tensors.values() if t.data is None and t.quant is not None}
    return replace(policy, dtype=kinds.pop()) if len(kinds) == 1 else policy


def quantize(
    graph: Graph,
    observed: Mapping[str, Histogram],
    policy: Policy,
    *,
    per_channel: bool,
    requantizer: str,
    widths: Widths = Widths(),  # noqa: B008
    input_statistics: Mapping[str, InputStatistics] = MappingProxyType({}),
    locked: Decisions | None = None,
) -> Quantized:
    """Post-training quantization.

    `requantizer` is `shift` or `multiplier`, or `auto`: shift wherever it can say the layer's scale. Weights of less
    than eight bits are rounded so that layers with these `input_statistics` (by the layer's name) err least. Nothing
    is decided where `locked` says it: neither `observed` nor `input_statistics` is then read. Raises ChipfitError when
    `shift` is demanded and a layer's output is scaled up, and where `locked` is about another network.
    """
    graph = join_int8_functions(graph, policy)
    observed = observed if locked is None else observed_of(locked)
    params = activation_params(graph, observed, _with_prescribed_dtype(graph, policy), locked)
    ranges = {n: (o.low, o.high) for n, o in observed.items()}
    quantizer = Quantizer(
        graph,
        params,
        per_channel=per_channel,
        requantizer=requantizer,
        ranges=ranges,
        widths=widths,
        input_statistics=input_statistics,
        locked=None if locked is None else locked.layers,
    )
    for node in graph.nodes:
        node.quantize(quantizer)
    integer = quantizer.out.build(quantizer.inputs, quantizer.outputs(), graph.opset)
    integer.verify(integer=True)
    return Quantized(integer, params, quantizer.constants, tuple(quantizer.proofs), quantizer.decisions)


def proofs(graph: Graph) -> tuple[AccumulatorProof, ...]:
    """The accumulator bound of every linear layer of an integer graph."""
    proofs_of_layers = []
    for node in graph.nodes:
        if isinstance(node, Linear) and node.rescale is not None:
            x = graph.tensors[node.inputs[0]]
            assert x.quant is not None
            weights = graph.constant(node.weights)
            weights = weights.reshape(len(weights), -1)
            folded = folded_bias(weights, graph.constant(node.bias), x.quant.zero_point)
            bound = accumulator_bound(weights, folded, -x.quant.limits[0])
            proofs_of_layers.append(AccumulatorProof(node.name, int(bound.max(initial=0)), node.rescale.kind))
    return tuple(proofs_of_layers)


def activation_params(
    graph: Graph, observed: Mapping[str, Histogram], policy: Policy, locked: Decisions | None = None
) -> dict[str, QuantParams]:
    """One scale and zero point for every float activation; tied tensors share theirs.

    What the model file prescribes (`Tensor.quant`) is taken; the rest is chosen from `observed`, or is as `locked`
    says. Raises ChipfitError for a tensor that has neither.
    """
    groups, prescribed = _groups(graph)
    roots = {m: root for root, members in groups.items() for m in members}
    reshaped = _reshaped(graph)
    fixed_params = {
        roots[n.output]: f for n in graph.nodes if n.output in roots and (f := n.fixed_output(policy.dtype)) is not None
    }
    params: dict[str, QuantParams] = {}
    for root, members in groups.items():
        shared = prescribed.get(root) or fixed_params.get(root)
        if shared is None and locked is not None:
            shared = decided_params(locked, members, policy.dtype)
        elif shared is None:
            missing = [m for m in members if m not in observed]
            if missing:
                raise ChipfitError(
                    f"tensor {missing[0]!r} has no scale in the model file",
                    hint="Write data.calibration: an .npz file with typical inputs, from which it is chosen.",
                )
            counted = [m for m in members if m not in reshaped] or members
            shared = choose_params(merge_histograms([observed[m] for m in counted]), policy)
            if shared.scale[0] < LEAST_SCALE:
                raise ChipfitError(
                    f"tensor {members[0]!r} holds values so small that float32 has no normal number for their scale",
                    hint="Train and calibrate in larger units: multiply the data by a power of two.",
                )
        params |= dict.fromkeys(members, shared)
    return params


def _reshaped(graph: Graph) -> set[str]:
    """Activations that are others with more or fewer axes of size 1: their values count once."""
    views = [n for n in graph.nodes if n.is_view]
    shapes = {n: [d for d in t.shape if d != 1] for n, t in graph.tensors.items()}
    return {n.output for n in views if shapes[n.inputs[0]] == shapes[n.output]}


def unprescribed_activations(graph: Graph) -> list[str]:
    """The float activations whose scale the model file does not prescribe."""
    groups, prescribed = _groups(graph)
    return [m for root, members in groups.items() if root not in prescribed for m in members]


def _groups(graph: Graph) -> tuple[dict[str, list[str]], dict[str, QuantParams]]:
    """Float activations that share one scale, by their leader, and the scale that the file prescribes for a leader."""
    names = [n for n, t in graph.tensors.items() if t.data is None and t.dtype == "float32"]
    prescribed = {n: q for n in names if (q := graph.tensors[n].quant) is not None}
    sets = DisjointSets(names)
    for node in graph.nodes:
        for a, b in node.ties():
            if a in sets and b in sets:
                first, second = sets.find(a), sets.find(b)
                # Two prescribed scales stay two; the node between them requantizes. What could take a prescribed
                # one without loss has it already.
                if first != second and prescribed.get(first) == prescribed.get(second):
                    sets.join(first, second)
    return sets.groups(), prescribed
