"""The shape of the code: imports point one way, tables are true, every file is small enough to read."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

from conftest import ROOT, some

from pipeline.facts.cores import APPLICATION, CORES
from stages.app.tables import fill_tables

ROOMS = "facts graph arithmetic model_files ops importing quantizing planning generating measuring judging".split()
"""The folders of pipeline/, in the order in which data flow: each imports only those before it."""


CROSSING = """abi architecture bad_builds bounds degenerate docs firmware fuzz hostile_names misra models networks
operators products quantized_onnx reproducible tests tiny""".split()
"""Tests of what no module does alone; they lie in tests/ itself."""

UNMIRRORED = ("ops", "benchmarks", "__init__.py")
"""Operators are tested through their samples, measurements by what they print."""
WITHOUT_A_TEST: dict[str, dict[str, str]] = {
    "facts": {"cores": "its names are those of table", "core": "a record", "isa": "records, in test_table",
              "validation": "in test_config", "variant_models": "records, in test_variants_of_products",
              "axes": "in test_variants_of_products", "models": "records, in test_config",
              "totals": "a record, in test_figures"},
    "graph": {"facets": "protocols", "rescale": "a record", "term": "a type", "struct": "in test_kernel_params",
              "moves": "records, in test_kernel_params", "pairs": "likewise", "pooling": "likewise",
              "rows": "likewise"},
    "judging": {"report": "a package", "diff": "records, in test_differences", "evidence": "a record, in test_rules"},
    "measuring": {"families": "a table of one entry", "family": "a protocol", "machine_code": "a package",
                  "thumb": "a package", "toolchain": "a package", "simulate_file": "records",
                  "host_child": "a process of its own, in test_host"},
    "model_files": {"exported": "a table, in test_readers"},
    "planning": {"armv6m": "a table, in test_variants", "plan_file": "records, in test_describe_plan"},
    "stages": {"app": "a package", "base": "in test_execution", "plan": "in test_why", "graph": "in test_why",
               "results": "in test_store",
               "products": "in test_why",
               "file_sizes": "in tests/test_bad_builds.py", "model_source": "in tests/test_bad_builds.py",
               "distributions": "a table, in test_tools",
               "import_model": "in tests/test_products.py",
               "cli": "calls commands", "commands": "in tests/test_products.py",
               "schema": "in tests/test_products.py", "chips": "in tests/test_products.py",
               "size_check": "in tests/test_products.py", "verify": "in test_verification and test_rebuilding",
               "sign": "in test_signing", "upkeep": "in test_cache"},
}  # fmt: skip
"""Modules without behaviour of their own, or of which each line is another one's test."""


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


def room(module: str) -> str:
    return module.split(".")[1]


def test_pipeline_has_these_rooms_and_no_module_beside_them() -> None:
    here = {p.name for p in (ROOT / "pipeline").iterdir() if p.name != "__pycache__"}
    assert here == {*ROOMS, "__init__.py"}


def test_rooms_import_only_rooms_before_them() -> None:
    modules = [(p, p.relative_to(ROOT / "pipeline").parts[0]) for p in files("pipeline") if p.parent.name != "pipeline"]
    pairs = [(p, own, m) for p, own in modules for m in imported(p) if m.startswith("pipeline.")]
    arrows = {(own, room(m)) for _, own, m in pairs if room(m) != own}
    for own in ROOMS:
        print(f"{own:12} <- {' '.join(r for r in ROOMS if (own, r) in arrows)}")
    for path, own, module in some(pairs):
        assert ROOMS.index(room(module)) <= ROOMS.index(own), f"{path.relative_to(ROOT)} imports {module}"


def test_folders_inside_a_room_do_not_import_each_other_in_circles() -> None:
    """A folder's own modules and those of a folder below it are two folders."""
    arrows: dict[str, set[str]] = {}
    for path in files("pipeline"):
        own = folder_of(path)
        for target in (ROOT / Path(*m.split(".")) for m in imported(path) if m.startswith("pipeline.")):
            arrows.setdefault(own, set()).add(folder_of(target / "__init__.py" if target.is_dir() else target))
    for own in some(sorted(arrows)):
        reached, waiting = set(), sorted(arrows[own] - {own})
        while waiting:
            folder = waiting.pop()
            if folder not in reached:
                reached.add(folder)
                waiting += arrows.get(folder, ())
        assert own not in reached, f"{own} is imported by what it imports: {sorted(reached)}"


def folder_of(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def test_pipeline_never_imports_stages_and_nothing_imports_dodo() -> None:
    for path, module in some((p, m.split(".")[0]) for p in files("pipeline", "stages") for m in imported(p)):
        assert module != "dodo"
        assert module != "stages" or path.is_relative_to(ROOT / "stages"), path


def test_only_the_table_of_cores_names_a_core() -> None:
    """But for docstrings and comments, which cite manuals."""
    table = ROOT / "pipeline" / "facts" / "cores"
    for path in some(p for p in files("pipeline", "stages") if not p.is_relative_to(table)):
        named = [s for s in strings(path) if any(c in s.lower().replace("_", "-") for c in (*CORES, APPLICATION))]
        assert not named, path


def strings(path: Path) -> list[str]:
    """Those of a module that are no docstrings."""
    tree = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    docstrings = {id(n.value) for n in tree if isinstance(n, ast.Expr)}
    return [
        n.value for n in tree if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docstrings
    ]


def test_the_readme_repeats_the_tables_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert fill_tables(readme) == readme, "run: python -m stages.app.tables"


def test_files_do_one_thing() -> None:
    for path in some(files("pipeline", "stages")):
        assert len(path.read_text("utf-8").splitlines()) <= 350, path
    for template in some((ROOT / "pipeline" / "generating" / "templates").iterdir()):
        assert len(template.read_text("utf-8").splitlines()) <= 60, template


def test_a_build_with_nothing_to_do_waits_for_no_heavy_library() -> None:
    heavy = "numpy onnx onnxruntime tflite unicorn capstone jinja2 torch".split()
    code = f"import dodo, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_is_mutated_and_the_tests_that_notice_it_exist() -> None:
    mutmut = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    for pattern in some([*mutmut["only_mutate"], *mutmut["also_copy"], *mutmut["pytest_add_cli_args_test_selection"]]):
        assert list(ROOT.glob(pattern)), pattern


def test_tests_mirror_modules() -> None:
    """tests/<room>/test_<module>.py, or test_<module>_<subject>.py; and every module has one.

    Rooms are those of pipeline, stages and benchmarks.
    """
    modules: dict[str, set[str]] = {}
    for path in files("pipeline", "stages", "benchmarks"):
        top, *inside = path.relative_to(ROOT).parts
        name = path.parent.name if path.stem == "__init__" else path.stem
        modules.setdefault(inside[0] if top == "pipeline" else top, set()).add(name)
    named: dict[str, set[str]] = {}
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    names = [p.name for p in tests]
    assert len(set(names)) == len(names), f"pytest takes {max(names, key=names.count)} of one folder alone"
    for path in some(tests):
        room, test = path.parent.relative_to(ROOT / "tests").as_posix(), path.stem.removeprefix("test_")
        if room == ".":
            assert test in CROSSING, f"{path.name}: move it beside the tests of its room, or name it in CROSSING"
        else:
            own = {m for m in modules.get(room, ()) if test == m or test.startswith(f"{m}_")}
            assert own, f"tests/{room}/{path.name}: {room} has no module of that name"
            named.setdefault(room, set()).update(own)
    untested = {r: own - named.get(r, set()) for r, own in modules.items() if r not in UNMIRRORED}
    left = {r: sorted(own - {r, "__init__.py", *WITHOUT_A_TEST.get(r, {})}) for r, own in untested.items()}
    assert not any(left.values()), f"write tests/<room>/test_<module>.py: {left}"
    stale = {r: sorted(set(names) - untested[r]) for r, names in WITHOUT_A_TEST.items()}
    assert not any(stale.values()), f"these have a test, or are no more: {stale}"
