"""One ONNX node as an operator's import function sees it: attributes and constant inputs, with precise refusals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.model_files.node import ImportNode


@dataclass(frozen=True, eq=False)
class OnnxNode(ImportNode):
    """A node with its attributes by name and the file's opset.

    What an operator's import function sees at its inputs are real values; `kinds` says where the file means the
    integers of a quantized tensor instead, by their ONNX type ("" elsewhere). A quantized tensor and its dequantized
    twin are one tensor of the graph under two names of the file, so only the names can tell them apart.
    """

    attributes: Mapping[str, Any]
    opset: int
    kinds: tuple[str, ...] = ()
    results: dict[str, str] = field(default_factory=dict)
    """Outputs that hold integers in the file, with their ONNX type; filled in by the import function."""

    def kind(self, index: int) -> str:
        """The ONNX type of the integers that the file means at input `index`, "" where it means real values."""
        return self.kinds[index] if index < len(self.kinds) else ""

    def without(self, attribute: str) -> "OnnxNode":
        """This node without one of its attributes."""
        return replace(self, attributes={k: v for k, v in self.attributes.items() if k != attribute})

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(v) for v in self.attributes.get(name, default))

    def attr_or_input(self, name: str, index: int, default: Any = None) -> Any:
        """A parameter that moved from an attribute to an input in a later opset; a list or a scalar."""
        if name in self.attributes:
            return self.attributes[name]
        data = self.optional(index, name)
        return default if data is None else data.tolist()
