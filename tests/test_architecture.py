"""The shape of the code: imports point one way, tables are true, every file is small enough to read."""

import ast
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, some

from stages.tables import filled

LAYERS = (
    ("text", "files", "errors", "units", "widths", "cores", "waits", "config"),
    ("ir", "disjoint", "fixedpoint", "gemmlowp", "builder", "calls", "bounds", "npz", "data"),
    ("ops", "importers", "graphfile", "artifact", "onnx_export", "oracle", "litert", "floor"),
    (
        "passes",
        "calibrate",
        "moments",
        "scales",
        "narrow",
        "solve",
        "quantizer",
        "quantize",
        "rounding",
        "faithful",
        "signal",
        "evaluate",
    ),
    (
        "arena",
        "floor_ram",
        "order",
        "views",
        "plan",
        "library",
        "estimate",
        "staircase",
        "variants",
        "places",
        "search",
        "choose",
    ),
    ("codegen", "kernels"),
    ("toolchain", "simulator", "footprint"),
    ("rules", "report"),
)
LEVEL = {name: i for i, names in enumerate(LAYERS) for name in names}


def files(*folders: str) -> list[Path]:
    return sorted(p for f in folders for p in (ROOT / f).rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return found


def test_inside_pipeline_imports_point_from_later_layers_to_earlier_ones() -> None:
    modules = [(p, p.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")) for p in files("pipeline")]
    pairs = [(p, own, m) for p, own in modules if own != "__init__" for m in imported(p) if m.startswith("pipeline.")]
    for path, own, module in some(pairs):
        assert LEVEL[module.split(".")[1]] <= LEVEL[own], f"{path.name} imports {module}"


def test_pipeline_never_imports_stages_and_nothing_imports_dodo() -> None:
    for path, module in some((p, m.split(".")[0]) for p in files("pipeline", "stages") for m in imported(p)):
        assert module != "dodo"
        assert module != "stages" or path.is_relative_to(ROOT / "stages"), path


def test_the_readme_repeats_the_tables_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert filled(readme) == readme, "run: python -m stages.tables"


def test_files_do_one_thing() -> None:
    for path in some(files("pipeline", "stages")):
        assert len(path.read_text("utf-8").splitlines()) <= 350, path
    for template in some((ROOT / "pipeline" / "templates").iterdir()):
        assert len(template.read_text("utf-8").splitlines()) <= 60, template


def test_a_build_with_nothing_to_do_waits_for_no_heavy_library() -> None:
    heavy = "onnx onnxruntime tflite unicorn capstone jinja2 torch".split()
    code = f"import dodo, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
