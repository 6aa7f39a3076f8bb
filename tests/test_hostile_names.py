"""Names out of model files and YAMLs that want to be code, markup or commands: in every output they are only text."""

import html.parser
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import yaml
from conftest import ROOT, chipfit, some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.text import in_comment, in_markdown, is_code, visible
from pipeline.importing.onnx_graph import graph_of, import_onnx
from stages.app.cli import main

MARK = "EVIL"
NAMES = (
    r"*\ EVIL(); ",
    "*/ EVIL(); /* ",
    "??/\nEVIL",
    "*\\\n/ EVIL(); ",
    "\r#include <EVIL>",
    '\n.include "EVIL"\n',
    "; EVIL @ EVIL # EVIL // EVIL",
    "<script>EVIL</script>",
    "\"><img src='x' onerror='EVIL'>",
    "' onmouseover='EVIL' x='",
    "</title></svg></style><EVIL>",
    "[EVIL](javascript:EVIL)",
    "![EVIL](http://EVIL) www.EVIL.com @EVIL #1",
    "| EVIL | `EVIL` **EVIL** __EVIL__ ~~EVIL~~",
    "\x1b[31mEVIL\x1b]0;EVIL\x07\x9b2J\x08",
    "\u202eEVIL\u2066\u200b\u2028\ufeff\u0085\u3164",
    "{{ EVIL }} {% EVIL %} ${EVIL} $(EVIL) `EVIL`",
    "[bold]EVIL[/bold] %s%n\x00",
    "../../EVIL",
    "EVIL " + "long " * 2000,
)

JOINED = tuple("".join(NAMES[i::5]) for i in range(5))
"""All of them in the names of five layers: a build of twenty takes long."""


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_each_language_has_its_own_harmless_spelling(name: str) -> None:
    comment = in_comment(name)
    assert re.fullmatch(r"[ -~]*", comment) and not set(comment) & set("*/\\?@;'\"`") and len(comment) <= 200
    assert is_code(comment)
    assert visible(name).isprintable()
    check_markdown(in_markdown(name))


@pytest.mark.parametrize("name", ["a*/b", "a/*b", "a//b", "a??/", "a\\", "a\nb", "a\\\n", "\x1b", "é"])
def test_what_is_no_code_is_caught_before_it_is_written(name: str) -> None:
    assert not is_code(name)


@pytest.mark.parametrize("name", ["a*/b", "a//b", "a\nb"])
def test_no_template_writes_what_is_no_code_whatever_python_is_asked_to_leave_out(name: str) -> None:
    template = "from pipeline.generating.rendering import environment"
    program = f"{template}; environment().from_string('{{{{ x }}}}').render(x={name!r})"
    run = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 1 and "ValueError: not code" in run.stderr


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (":white_check_mark:", "&#58;white_check_mark:"),
        ("$x^2$", "&#36;x^2&#36;"),
        (":+1:", "&#58;+1:"),
        ("a: b", "a: b"),
    ],
)
def test_neither_emoji_nor_formula_is_drawn(name: str, shown: str) -> None:
    assert in_markdown(name) == shown


@pytest.mark.parametrize("name", ["x" * 100_000, "a" * 5000 + ".onnx", "q" * 300])
def test_a_long_name_leaves_the_sentence_readable(name: str) -> None:
    error = ChipfitError(f"model.source: {name!r} is too much", place=Place(f"{name}.yaml", 3), hint=f"Rename {name}.")
    message = str(error)
    assert re.fullmatch(r"(\S+\.\.\.\S+yaml:3:) model\.source: ('\S+') is too much\. Hint: Rename (\S+)\.", message)
    assert len(message) < 4 * 200 and max(map(len, message.split())) == 200


def test_what_people_write_is_left_alone() -> None:
    text = "models/größe_1.yaml:3: budget.flash: uses 1.5 KiB (1,540 B), limit 100 % [1, 3]; 'x' → \"y\" <z> `w` 東京"
    assert visible(text) == text
    assert in_comment("conv1.weight_0 + relu: 1x30 -> 1x4, 120 MACs") == "conv1.weight_0 + relu: 1x30 -> 1x4, 120 MACs"
    assert in_markdown("budget.max_drop: 1.5 KiB, 35 vectors (of 40)") == "budget.max_drop: 1.5 KiB, 35 vectors (of 40)"


# How a file of each kind is read; a new kind of output has to say so here.
def check_c(text: str, line_comment: str = "//") -> None:
    """No name outside comments, as a compiler sees the file: trigraphs first, then joined lines, then comments."""
    assert not re.search(r"[^\n\t\x20-\x7e]", text)
    spliced = text.replace("??/", "\\").replace("\\\n", "")
    tokens = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'' + rf"|/\*.*?\*/|(?:{line_comment})[^\n]*"
    assert MARK not in re.sub(tokens, lambda m: m[0] if m[0][0] in "\"'" else " ", spliced, flags=re.DOTALL)


class Page(html.parser.HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "img", "iframe", "link", "object", "base", "form", MARK.lower())
        for key, value in attrs:
            assert not key.startswith("on") and key not in ("href", "src", "srcdoc")
            assert key == "title" or MARK not in (value or ""), (tag, key)

    def handle_comment(self, data: str) -> None:
        assert MARK not in data

    def handle_decl(self, decl: str) -> None:
        assert decl.lower() == "doctype html"


class ComparisonPage(Page):
    """It links to reports, and sorts its table by a script that no name is part of."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("script", "a"):
            super().handle_starttag(tag, attrs)
        assert tag != "script" or not attrs
        assert tag != "a" or attrs == [("href", "net/report/index.html")]


def check_html(text: str, page: type[Page] = Page) -> None:
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None and MARK not in style[1]
    page().feed(text)
    check_terminal(text)


def check_report(text: str) -> None:
    check_html(text)
    assert MARK in text


def check_comparison(text: str) -> None:
    check_html(text, ComparisonPage)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert MARK not in script


def check_markdown(text: str) -> None:
    """Every character that Markdown or GitHub gives a meaning is an entity, but for those of the frame."""
    check_terminal(text)
    for line in text.splitlines():
        inside = re.sub(r"\*\*FAIL\*\*|^### |&#\d+;|\\_", "", line)
        if line.startswith("|"):
            assert line.endswith("|")
            cells = inside[1:-1].split("|")
            assert len(cells) in (3, 4, 9), line
            inside = "".join(cells)
        assert not set(inside) & set("`*[]<>~\\@#!|$"), line
        assert not re.search(r":[a-z0-9_+]+:", line), line
        assert "://" not in inside and "www." not in inside
        assert not re.search(r"(?<![^\W_])_|_(?![^\W_])", inside)


def check_xml(text: str) -> None:
    check_terminal(text)
    assert MARK not in "".join(e.tag for e in ElementTree.fromstring(text).iter())


def check_json(text: str) -> None:
    json.loads(text)
    assert text.isascii() and not re.search(r"[^\n -~]", text)


def check_terminal(text: str) -> None:
    """No control or direction character, and no line that a name begins."""
    bad = [c for c in text if not c.isprintable() and c != "\n"]
    assert not bad, bad
    assert not any(line.lstrip().startswith((".include", "EVIL\u2066")) for line in text.splitlines())


READERS: dict[str, Callable[[str], None] | None] = {
    ".c": check_c,
    ".h": check_c,
    ".S": lambda t: check_c(t, "[@#]|//"),
    ".txt": lambda t: check_c(t, "#"),
    ".toml": lambda t: check_c(t, "#"),
    ".html": check_report,
    ".md": check_markdown,
    ".json": check_json,
    ".xml": check_xml,
    ".bin": None,
    ".elf": None,
    ".onnx": None,
    ".lock": None,
}


def files(folder: Path) -> Iterator[tuple[Path, Callable[[str], None] | None]]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        assert MARK not in str(path.relative_to(folder))
        kind = path.suffix or path.name
        assert kind in READERS, f"say how {path.name} is read"
        yield path, check_comparison if path == folder / "index.html" else READERS[kind]


def build(folder: Path, product: dict[str, object], capfd: pytest.CaptureFixture[str]) -> None:
    """Build, explain and estimate in `folder`, and read everything that came out."""
    (folder / "net.yaml").write_text(yaml.safe_dump(product, allow_unicode=False), "utf-8")
    result = chipfit(folder, "build", "net.yaml")
    assert result.returncode == 0, result.stderr
    assert main(["explain"]) == 0
    model = product["model"]
    assert isinstance(model, dict)
    assert main(["estimate", model["source"]]) == 0
    told = capfd.readouterr()
    for text in (result.stdout, result.stderr, told.out, told.err):
        check_terminal(text)
    assert MARK in told.out
    for path, reader in files(folder / "build"):
        if reader is not None:
            reader(path.read_text("utf-8"))
    assert MARK in (folder / "build" / "net" / "codegen" / "src" / "net.c").read_text("utf-8")


CHIP = {
    "chip": "mine", "core": "cortex-m0", "clock": "48 MHz", "manual": NAMES[7] + NAMES[14],
    "notes": "".join(NAMES[:12]),
    "flash": {"origin": 0, "size": "256 KiB"}, "ram": {"size": "32 KiB"},
}  # fmt: skip


def onnx_model() -> onnx.ModelProto:
    """1x1 convolutions in a row, five of them; every field that holds text holds a hostile one."""
    tensors = ["in" + NAMES[0], *(f"t{i}{n}" for i, n in enumerate(JOINED))]
    nodes, constants = [], []
    rng = np.random.default_rng(0)
    for i, name in enumerate(JOINED):
        constants.append(numpy_helper.from_array(rng.normal(0, 1, (4, 4, 1, 1)).astype(np.float32), f"w{i}{name}"))
        nodes.append(helper.make_node("Conv", [tensors[i], constants[-1].name], [tensors[i + 1]], name=name))
        nodes[-1].doc_string = constants[-1].doc_string = name
    shape = [NAMES[1], 4, 2, 2]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape, NAMES[2]) for n in (tensors[0], tensors[-1])]
    graph = helper.make_graph(nodes, NAMES[3], ports[:1], ports[1:], constants, NAMES[4])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, doc_string=NAMES[5])
    model.producer_name, model.producer_version, model.domain = NAMES[6], NAMES[7], NAMES[8]
    helper.set_model_props(model, {n: n for n in NAMES})
    return model


def test_an_onnx_product_of_hostile_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source, data = "*\\ EVIL ??  <b>\u202e`|.onnx", "[EVIL](x)\x1b[1m.npz"
    (tmp_path / source).write_bytes(onnx_model().SerializeToString())
    key = NAMES[11]
    np.savez(tmp_path / data, **{key: np.random.default_rng(1).normal(0, 1, (8, 4, 2, 2)).astype(np.float32)})
    product = {
        "product": "net", "model": {"source": source}, "chip": CHIP, "simulate": {"vectors": 1},
        "data": {"calibration": {"file": data, "inputs": key}},
        "quantization": {"layers": {JOINED[2]: {"weights": "int4"}}},
    }  # fmt: skip
    build(tmp_path, product, capfd)


def test_a_tflite_product_of_hostile_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    from tflite_models import Op, T, tflite_model

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = [n.replace("\x00", "") for n in JOINED]
    tensors, ops = {names[0]: T((1, 2, 2, 4), scale=0.1)}, []
    for i, name in enumerate(names[1:], 1):
        weights, bias = f"w{i}{name}", f"b{i}{name}"
        tensors[weights] = T((4, 1, 1, 4), scale=0.01, data=rng.integers(-127, 128, (4, 1, 1, 4)))
        tensors[bias] = T((4,), "int32", 0.001, data=np.zeros(4))
        tensors[name] = T((1, 2, 2, 4), scale=0.1)
        fields = {"padding": 1, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
        ops.append(Op("CONV_2D", [names[i - 1], weights, bias], [name], "Conv2DOptions", fields))
    (tmp_path / "net.tflite").write_bytes(tflite_model(tensors, ops, names[:1], names[-1:], description=NAMES[9]))
    product = {"product": "net", "model": {"source": "net.tflite"}, "chip": CHIP, "simulate": {"vectors": 1}}
    build(tmp_path, product, capfd)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_refusals_say_hostile_names_in_one_line_of_text(name: str, tmp_path: Path) -> None:
    def refused(change: Callable[[onnx.ModelProto], object], checked: bool = True) -> str:
        model = onnx_model()
        change(model)
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ChipfitError) as caught:
            import_onnx(path, name, "net") if checked else graph_of(model, name, "net")
        return str(caught.value)

    def as_input(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = name

    messages = [
        refused(lambda m: setattr(m.graph.node[3], "op_type", name), checked=False),
        refused(lambda m: setattr(m.graph.node[3], "domain", name), checked=False),
        refused(lambda m: m.graph.node[3].input.__setitem__(0, name + "?")),
        refused(lambda m: m.graph.node[4].output.__setitem__(0, m.graph.node[3].output[0])),
        refused(as_input),
        refused(lambda m: setattr(m.graph.node[0], "op_type", name)),
    ]
    for sentence in some(messages):
        assert "\n" not in sentence
        check_terminal(sentence)


def test_hostile_text_in_a_yaml_is_said_as_text(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(onnx_model().SerializeToString())
    good = {"product": "net", "model": {"source": "net.onnx"}, "chip": CHIP}
    for i, name in enumerate(NAMES):
        wrong = (
            {"product": name}, {"chip": name}, {"model": {"source": name}}, {name: 1}, {"budget": {name: name}},
            {"data": {"calibration": name}}, {"optimize": name}, {"budget": {"flash": name}}, {"extends": name},
            {"chip": {**CHIP, "chip": name}},
        )  # fmt: skip
        for number, change in [*enumerate(wrong)][i % 2 :: 2]:
            given = {**good, "product": f"net{i}_{number}", **change}
            (tmp_path / f"net{i}_{number}.yaml").write_text(yaml.safe_dump(given), "utf-8")
    result = chipfit(tmp_path, "build")
    assert result.returncode == 1 and result.stderr.count(MARK) > 80
    check_terminal(result.stdout + result.stderr)
    assert all(re.match(r"net\d+_\d+.yaml:\d+: ", line) for line in some(result.stderr.splitlines()))
