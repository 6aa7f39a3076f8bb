"""Tests that can fail: each comes to an assertion whatever it is given, before it returns."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, some

FILES = sorted((ROOT / "tests").rglob("test_*.py"))
_WRAPPERS = ("zip", "enumerate", "sorted", "reversed", "list", "tuple", "set", "dict", "batched", "pairwise", "product")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def own(node: ast.AST) -> Iterator[ast.AST]:
    """What is inside of a function, but not of a function inside of it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield child
            yield from own(child)


def certain(values: ast.expr) -> bool:
    """Whether there is something to iterate over: literals, CONSTANTS, ranges of numbers, and what `some` let pass."""
    if isinstance(values, ast.Tuple | ast.List | ast.Set):
        return bool(values.elts)
    if isinstance(values, ast.Dict):
        return bool(values.keys)
    if isinstance(values, ast.Constant):
        return bool(values.value)
    if isinstance(values, ast.Name | ast.Attribute):
        name = values.id if isinstance(values, ast.Name) else values.attr
        return name.isupper() or name == "expected"  # of Built, which is never empty
    if isinstance(values, ast.Subscript):
        return certain(values.value)
    if isinstance(values, ast.BinOp):
        return certain(values.left) or certain(values.right)
    if isinstance(values, ast.GeneratorExp | ast.ListComp | ast.SetComp):
        return all(certain(g.iter) and not g.ifs for g in values.generators)
    if not isinstance(values, ast.Call):
        return False
    if isinstance(values.func, ast.Attribute):
        return values.func.attr in ("items", "values", "keys", "split", "permutations") and certain(values.func.value)
    name = ast.unparse(values.func)
    if name == "range":
        return all(isinstance(a, ast.Constant | ast.UnaryOp) for a in values.args)
    strict = any(k.arg == "strict" and ast.unparse(k.value) == "True" for k in values.keywords)
    return name == "some" or (name in _WRAPPERS and (any if strict else all)(map(certain, values.args)))


def asserting(function: ast.AST, helpers: set[str]) -> bool:
    return any(asserts(n, helpers) for n in ast.walk(function) if isinstance(n, ast.stmt))


def asserts(statement: ast.stmt, helpers: set[str]) -> bool:
    """Whether the statement itself can fail a test: one that it controls does not count."""
    if isinstance(statement, ast.Assert | ast.Raise):
        return True
    if isinstance(statement, ast.With):
        return any("raises" in ast.unparse(i.context_expr) for i in statement.items)
    if isinstance(statement, ast.Expr | ast.Assign) and "check=True" in ast.unparse(statement):
        return True
    called = statement.value if isinstance(statement, ast.Expr) else None
    name = ast.unparse(called.func).split(".")[-1] if isinstance(called, ast.Call) else ""
    return name.startswith("assert_") or name in ("fail", "verify", "check_model") or name in helpers


def sure(statements: Iterable[ast.stmt], helpers: set[str]) -> bool:
    """Whether these statements come to an assertion whatever happens."""
    for s in statements:
        if asserts(s, helpers):
            return True
        if isinstance(s, ast.With) and sure(s.body, helpers):
            return True
        if isinstance(s, ast.For) and certain(s.iter) and sure(s.body, helpers):
            return True
        if isinstance(s, ast.If) and sure(s.body, helpers) and sure(s.orelse, helpers):
            return True
        if isinstance(s, ast.Try):
            handled = all(sure(h.body, helpers) for h in s.handlers)
            if handled and (sure([*s.body, *s.orelse], helpers) or sure(s.finalbody, helpers)):
                return True
    return False


def parsed() -> dict[Path, ast.Module]:
    return {p: ast.parse(p.read_text("utf-8")) for p in some((ROOT / "tests").rglob("*.py"))}


def helpers_of(trees: Iterable[ast.Module]) -> set[str]:
    """Functions of the tests' own that can fail a test; calling one as a statement is an assertion."""
    functions = [n for t in trees for n in ast.walk(t) if isinstance(n, Function) and not n.name.startswith("test_")]
    found: set[str] = set()
    for _ in range(4):
        found |= {f.name for f in functions if asserting(f, found)}
    return found


TREES = parsed()
HELPERS = helpers_of(TREES.values())


def blocks(test: Function) -> Iterator[list[ast.stmt]]:
    """The statements of the function and of everything that it controls, block by block."""
    for node in [test, *own(test)]:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                yield block


def faults(test: Function, helpers: set[str]) -> Iterator[str]:
    for block in blocks(test):
        for at, statement in enumerate(block):
            if isinstance(statement, ast.Return) and not sure(block[:at], helpers):
                yield f"line {statement.lineno}: returns before anything is asserted: parametrize, or use else"
    if not sure(test.body, helpers):
        yield "may come to no assertion: iterate over some(...), or count what was met"
    for node in own(test):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "all" and not certain(node.args[0]):
            yield f"line {node.lineno}: all() of nothing is true: all(some(...))"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_test_comes_to_an_assertion(path: Path) -> None:
    tests = some(n for n in ast.walk(TREES[path]) if isinstance(n, Function) and n.name.startswith("test_"))
    found = [f"{path.name}:{t.lineno} {t.name} {fault}" for t in tests for fault in faults(t, HELPERS)]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("assert x", ""),
        ("return\n    assert x", "returns"),
        ("if x:\n        return\n    assert x", "returns"),
        ("if x:\n        assert x\n        return\n    assert not x", ""),
        ("print(x)", "may come to no assertion"),
        ("for y in x:\n        assert y", "may come to no assertion"),
        ("for y in (1, 2):\n        assert y", ""),
        ("for y in some(x):\n        assert y", ""),
        ("if x:\n        assert x", "may come to no assertion"),
        ("if x:\n        assert x\n    else:\n        assert not x", ""),
        ("try:\n        assert x\n    except ValueError:\n        pass", "may come to no assertion"),
        ("assert all(y for y in x)", "all() of nothing"),
        ("assert all(some(y for y in x))", ""),
        ("assert all(y for y in (1, 2) if y > 1)", "all() of nothing"),
        ("with pytest.raises(ValueError):\n        x()", ""),
        ("np.testing.assert_array_equal(x, 1)", ""),
    ],
)
def test_what_can_pass_without_an_assertion_is_found(body: str, fault: str) -> None:
    (test,) = ast.parse(f"def test_it():\n    {body}\n").body
    assert isinstance(test, Function)
    found = list(faults(test, set()))
    assert any(fault in f for f in found) if fault else not found
