"""Names of packages, of the distributions that bring them, and which of these change no byte of a result."""

import re
from collections.abc import Mapping

DISTRIBUTIONS: Mapping[str, str] = {
    "ai_edge_litert": "ai-edge-litert",
    "capstone": "capstone",
    "chipfit": "chipfit",
    "elftools": "pyelftools",
    "flatbuffers": "flatbuffers",
    "google": "protobuf",
    "highspy": "highspy",
    "jinja2": "jinja2",
    "markupsafe": "markupsafe",
    "ml_dtypes": "ml-dtypes",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "tflite": "tflite",
    "torch": "torch",
    "unicorn": "unicorn",
    "yaml": "pyyaml",
    "ziglang": "ziglang",
}
"""The distribution that brings a package; one that is not here has the package's name."""
NO_EFFECT: Mapping[str, str] = {
    "pydantic": "it checks settings, and their values are in the key",
    "pyyaml": "it parses settings, and their values are in the key",
    "filelock": "it makes builds take turns",
    "platformdirs": "it says where caches are",
    "doit": "it says when a stage runs",
    "rich": "it draws progress on a terminal",
    "packaging": "it compares versions",
    "tqdm": "it draws progress on a terminal",
    "typing-extensions": "it names types",
    "backports-strenum": "it is a part of newer Pythons",
    "importlib-resources": "it is a part of newer Pythons",
}
"""Distributions that a stage or its packages import and that change no byte of a result, each with the reason."""


def distribution_of(name: str) -> str:
    """The distribution's normalized name, of a package's or a distribution's."""
    return re.sub(r"[-_.]+", "-", DISTRIBUTIONS.get(name, name)).lower()
