"""What the syntax of a file says that it takes from elsewhere."""

from textwrap import dedent

from stages.keys.facts import Import, facts_of


def of(source: str, path: str = "pipeline/room/module.py"):
    return facts_of(dedent(source).encode(), path)


def test_imports_at_once_and_in_functions() -> None:
    found = of("""
        import numpy.linalg
        from pipeline.graph import ir
        class A:
            from pipeline.graph import term
            def f(self):
                from pipeline.ops import NODES
        if True:
            g = lambda: __import__
    """).imports
    assert found == [
        Import("numpy.linalg", None, False),
        Import("pipeline.graph", "ir", False),
        Import("pipeline.graph", "term", False),
        Import("pipeline.ops", "NODES", True),
    ]


def test_relative_imports() -> None:
    assert of("from . import a\nfrom ..graph import b").imports == [
        Import("pipeline.room", "a", False),
        Import("pipeline.graph", "b", False),
    ]
    assert of("from .a import x", "pipeline/room/__init__.py").imports == [Import("pipeline.room.a", "x", False)]


def test_imports_for_types_never_run() -> None:
    found = of("""
        import typing
        if TYPE_CHECKING:
            import onnx
        else:
            import numpy
        if typing.TYPE_CHECKING:
            import torch
        if not TYPE_CHECKING:
            import jinja2
    """).imports
    assert [i.module for i in found] == ["typing", "numpy", "jinja2"]


def test_names_that_are_given_to_importlib() -> None:
    assert of("find_spec('torch'); importlib.metadata.version('chipfit')").names == ["torch", "chipfit"]
    assert of("import_module(f'unicorn.{name}_const')").prefixes == ["unicorn"]
    assert of("A = ('numpy', 'summary.md', 'onnx'); version(A[0])").names == ["numpy", "onnx"]
    assert of("platform.python_version()").names == ["python"]


def test_paths_beside_a_file() -> None:
    found = of("""
        A = Path(__file__).with_name("a.c")
        B = Path(__file__).resolve().parent.parent / "other" / "b"
        C = Path(__file__).parents[2]
        D = Path(__file__).parents[1] / name
    """)
    assert found.paths == ["pipeline/room/a.c", "pipeline/other/b", ".", "pipeline"]
    assert not found.unclear


def test_what_cannot_be_followed_is_said_with_its_line() -> None:
    for line in (
        "import_module(name)", "__import__(name)", "exec(text)", "eval(text)", "import runpy",
        "from importlib import resources", "open(__file__)", "from importlib.util import spec_from_file_location",
        "importlib.util.spec_from_file_location('a', path)", "import_module(f'{name}.x')",
    ):  # fmt: skip
        assert [u.rpartition(":")[0] for u in of(f"\n{line}").unclear] == ["pipeline/room/module.py:2"], line
    assert not of("re.compile('a'); ast.literal_eval('1')").unclear
