"""The formats that are exported before they are read."""

from collections.abc import Mapping

EXPORTED: Mapping[str, str] = {".pt2": ".onnx"}
"""Files that the stage `export` makes others of, with the suffix of those."""
