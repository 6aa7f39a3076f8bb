"""What one Python file takes from elsewhere: modules, packages, files beside it; read off its syntax, never run."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from stages.keys.distributions import DISTRIBUTIONS

_BUILTINS = frozenset({"__import__", "exec", "eval", "compile"})
_LOADERS = frozenset({"runpy", "pkgutil", "imp", "importlib.resources", "importlib.machinery", "zipimport"})
_BY_NAME = frozenset({"import_module", "find_spec", "version", "distribution"})
"""Functions of importlib that take the name of a module or a distribution."""


@dataclass(frozen=True)
class Import:
    """`import module`, or `from module import name`; `lazy` where it stands in a function."""

    module: str
    name: str | None
    lazy: bool


@dataclass
class Facts:
    """What a file's syntax says.

    `names`: texts that can be the name of a module or a distribution, given to importlib or beside such a call.
    `prefixes`: beginnings of module names of which the rest is computed. `paths`: files and folders, relative to the
    folder above the packages. `unclear`: what cannot be followed, each as line and text.
    """

    imports: list[Import] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)


def facts_of(source: bytes, path: str) -> Facts:
    """Facts of the file at `path`, relative to the folder above the packages. Raises SyntaxError."""
    tree = ast.parse(source, path)
    reader = _Reader(PurePosixPath(path))
    reader.read(tree.body, lazy=False)
    if reader.computed:  # of a call whose argument is no constant: then any text of the file may be the argument
        reader.facts.names += [t for t in reader.facts.texts if t in DISTRIBUTIONS or t in DISTRIBUTIONS.values()]
    return reader.facts


class _Reader:
    def __init__(self, path: PurePosixPath) -> None:
        self._path, self.facts, self.computed = path, Facts(), False

    def read(self, nodes: Sequence[ast.AST], *, lazy: bool) -> None:
        for node in nodes:
            self._read(node, lazy)

    def _read(self, node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            self.read(node.orelse, lazy=lazy)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        path = _path(node, self._path)
        if path is not None:
            self.facts.paths.append(path.as_posix())
            return
        match node:
            case ast.Import():
                self._add_import(node, [(a.name, None) for a in node.names], lazy)
            case ast.ImportFrom():
                base = self._absolute(node)
                self._add_import(node, [(base, a.name) for a in node.names], lazy)
            case ast.Call():
                self._call(node)
            case ast.Attribute(value=ast.Name(id="platform"), attr="python_version"):
                self.facts.names.append("python")  # of which only major and minor count elsewhere
            case ast.Name(id="__file__"):
                self._unclear(node, "__file__")
            case ast.Constant(value=str(text)):
                self.facts.texts.append(text)
            case _:
                pass
        # Of a function, decorators and defaults run when the module is imported; that they count as its body matters
        # only in an __init__.py, and there they do not import.
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        self.read(list(ast.iter_child_nodes(node)), lazy=inside)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self._path.parent.parts
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _add_import(self, node: ast.stmt, names: Sequence[tuple[str, str | None]], lazy: bool) -> None:
        for module, name in names:
            full = module if name is None else f"{module}.{name}"
            if module in _LOADERS or full in _LOADERS or name == "spec_from_file_location":
                self._unclear(node, full)
            self.facts.imports.append(Import(module, name, lazy))

    def _call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if (isinstance(function, ast.Name) and name in _BUILTINS) or name == "spec_from_file_location":
            self._unclear(node, name)
        if name not in _BY_NAME or not node.args:
            return
        match node.args[0]:
            case ast.Constant(value=str(text)):
                self.facts.names.append(text)
            case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if "." in text and name == "import_module":
                self.facts.prefixes.append(text.rpartition(".")[0])
            case _ if name == "import_module":
                self._unclear(node, name)
            case _:
                self.computed = True

    def _unclear(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.facts.unclear.append(f"{self._path}:{node.lineno}: {text}")


def _is_type_checking(test: ast.expr) -> bool:
    """Whether it is `TYPE_CHECKING`, which is false whenever the file runs."""
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _path(node: ast.AST, own: PurePosixPath) -> PurePosixPath | None:
    """The path that an expression over `Path(__file__)` means; None for any other."""
    match node:
        case ast.Call(func=ast.Name(id="Path"), args=[ast.Name(id="__file__")]):
            return own
        case ast.Attribute(value=inner, attr="parent"):
            found = _path(inner, own)
            return None if found is None else found.parent
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(index))):
            found = _path(inner, own)
            return None if found is None else _parent(found, index + 1)
        case ast.Call(func=ast.Attribute(value=inner, attr="resolve" | "absolute"), args=[]):
            return _path(inner, own)
        case ast.Call(func=ast.Attribute(value=inner, attr="with_name"), args=[ast.Constant(value=str(name))]):
            found = _path(inner, own)
            return None if found is None else found.with_name(name)
        case ast.BinOp(left=inner, op=ast.Div(), right=ast.Constant(value=str(name))):
            found = _path(inner, own)
            return None if found is None else found / name
        case _:
            return None


def _parent(path: PurePosixPath, count: int) -> PurePosixPath:
    for _ in range(count):
        path = path.parent
    return path


def texts_of(facts: Facts) -> Iterator[str]:
    """Texts that name a module outright, as the arguments of a process that runs one do."""
    return (t for t in facts.texts if "." in t and t.replace(".", "").replace("_", "").isalnum())
