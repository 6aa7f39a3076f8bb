"""What a module can reach, on small trees of files."""

from stages.keys.closure import closure_of, module_name, outside_names
from stages.keys.facts import facts_of


def of(start: str, files: dict[str, str]):
    facts = {p: facts_of(s.encode(), p) for p, s in files.items() if p.endswith(".py")}
    return closure_of(start, facts, files)


def test_imports_of_imports_and_the_packages_around_them() -> None:
    files = {
        "stages/__init__.py": "",
        "stages/a.py": "def run():\n    from pipeline.x.one import f",
        "stages/b.py": "",
        "pipeline/__init__.py": "",
        "pipeline/x/__init__.py": "from pipeline.x import two",
        "pipeline/x/one.py": "import numpy, os",
        "pipeline/x/two.py": "",
        "pipeline/x/three.py": "",
    }
    found = of("stages.a", files)
    assert found.files == tuple(sorted(set(files) - {"stages/b.py", "pipeline/x/three.py"}))
    assert found.outside == ("numpy", "os") and outside_names(found) == ("numpy",)


def test_functions_of_a_package_count_only_for_who_imports_the_package() -> None:
    files = {
        "stages/__init__.py": "def __getattr__(name):\n    from stages import a, b",
        "stages/a.py": "",
        "stages/b.py": "from stages import STAGES",
        "stages/c.py": "from stages import b",
    }
    assert of("stages.a", files).files == ("stages/__init__.py", "stages/a.py")
    assert of("stages.b", files).files == ("stages/__init__.py", "stages/a.py", "stages/b.py")
    assert of("stages.c", files).files == tuple(files)


def test_files_beside_a_module() -> None:
    files = {
        "stages/a.py": "import pipeline.x.reader",
        "pipeline/x/reader.py": "_F = Path(__file__).parent / 'kernels'\n_C = Path(__file__).with_name('child.py')",
        "pipeline/x/child.py": "import capstone",
        "pipeline/x/kernels/a.c": "",
        "pipeline/x/kernels/arm/b.inc": "",
        "pipeline/x/page.css": "",
        "pipeline/y.css": "",
    }
    found = of("stages.a", files)
    assert found.files == tuple(sorted(set(files) - {"pipeline/x/page.css", "pipeline/y.css"}))
    assert found.outside == ("capstone",)


def test_a_module_that_is_started_or_loaded_by_name() -> None:
    files = {
        "stages/a.py": "command = [sys.executable, '-m', 'pipeline.child']\nimport_module(f'pipeline.many.{x}')",
        "pipeline/child.py": "",
        "pipeline/many/__init__.py": "",
        "pipeline/many/one.py": "",
        "pipeline/other.py": "'pipeline.not_run'",
    }
    assert of("stages.a", files).files == tuple(sorted(set(files) - {"pipeline/other.py"}))


def test_what_only_runs_stages_is_in_no_closure() -> None:
    files = {
        "stages/a.py": "import stages.app.schedule, stages.keys, stages.store.local, stages.apple",
        "stages/app/schedule.py": "",
        "stages/keys/__init__.py": "",
        "stages/store/local.py": "",
        "stages/apple.py": "",
    }
    assert of("stages.a", files).files == ("stages/a.py", "stages/apple.py")


def test_a_star_may_name_modules() -> None:
    files = {"stages/a.py": "from pipeline import *", "pipeline/__init__.py": "", "pipeline/x.py": ""}
    assert of("stages.a", files).files == tuple(sorted(files))


def test_names_of_modules() -> None:
    assert module_name("pipeline/graph/ir.py") == "pipeline.graph.ir"
    assert module_name("pipeline/graph/__init__.py") == "pipeline.graph"
