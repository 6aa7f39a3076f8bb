"""A YAML with variants, through the command: tasks of every product, selections of them, and whose failure is whose."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.artifact import file_sha256, to_json, write_folder
from pipeline.facts.config import Project
from pipeline.facts.records import json_bytes, to_plain
from pipeline.judging.verdict import Finding, StackUsed, Used, Verdict
from pipeline.quantizing.quantize_file import Accuracy
from stages import codegen, import_model, quantize, report
from stages.app.cli import main
from stages.app.failures import grouped
from stages.app.schedule import load_products
from stages.base import Job, Stage

YAML = """product: net
model: {source: touch.onnx}
data: {calibration: touch.npz}
variants:
  chip: [truetouch-m0, rp2040, stm32f030r8]
  quantization.weights: [int8, int5]
"""


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("touch.onnx", "touch.npz"):
        shutil.copy(ROOT / "configs" / "models" / name, tmp_path)
    (tmp_path / "fleet.yaml").write_text(YAML, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fleet.yaml"


def test_every_variant_has_its_tasks(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "list", "--all"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    for chip in ("truetouch_m0", "rp2040", "stm32f030r8"):
        assert {f"{stage}:net_{chip}_int5" for stage in ("import", "codegen", "report")} <= set(listed)
    assert sum(name.startswith("quantize:") for name in listed) == 6


def test_the_starter_s_variants_are_right_when_they_are_uncommented(fleet: Path) -> None:
    assert main(["init"]) == 0
    starter = Path("product.yaml").read_text("utf-8")
    assert [n for n, _ in load_products("product.yaml")] == ["my_product"]
    before, variants, after = starter.partition("# variants:")
    fleet.write_text(before + (variants + after).replace("# ", "", 1).replace("\n# ", "\n"), "utf-8")
    names = [f"my_product_{chip}_{width}" for chip in ("truetouch_m0", "rp2040") for width in ("int8", "int5")]
    assert [n for n, p in load_products(fleet) if isinstance(p, Project)] == names


def imported() -> list[str]:
    return sorted(p.parent.parent.name for p in Path("build").glob("*/import/graph.json"))


def test_some_variants_are_built_by_a_pattern_of_doit(fleet: Path) -> None:
    assert main(["build", str(fleet), "import:net_rp2040_*"]) == 0
    assert imported() == ["net_rp2040_int5", "net_rp2040_int8"]


def test_some_variants_are_built_by_name(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(fleet), "import", "--only", "*_int5", "--only=net_rp2040_int8"]) == 0
    assert imported() == ["net_rp2040_int5", "net_rp2040_int8", "net_stm32f030r8_int5", "net_truetouch_m0_int5"]
    assert main(["build", str(fleet), "--only", "net_rp2040_int9"]) == 1
    expected = "--only net_rp2040_int9: no product has such a name. Hint: Did you mean 'net_rp2040_int8'?"
    assert capsys.readouterr().err.splitlines() == [expected]


def test_a_variant_that_is_wrong_fails_alone(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.write_text(YAML.replace("rp2040", "rp2400"), "utf-8")
    assert main(["build", "fleet.yaml", "import"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "fleet.yaml:5: net_rp2400_int8 and 1 more: chip: 'rp2400' is not known. Hint: Did you mean 'rp2040'?"
    ]
    assert imported() == [
        f"net_{chip}_{width}" for chip in ("stm32f030r8", "truetouch_m0") for width in ("int5", "int8")
    ]


def test_what_several_variants_miss_is_said_once_with_their_names(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override = "  overrides: [{when: {chip: rp2040}, budget: {flash: 100 B}}]\n"
    fleet.write_text(YAML + override, "utf-8")
    assert main(["build", "fleet.yaml", "feasibility"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("fleet.yaml:7: net_rp2040_int8: budget.flash: "), "each width needs another size"
    assert second.startswith("fleet.yaml:7: net_rp2040_int5: budget.flash: ")
    fleet.write_text(YAML.replace("touch.onnx", "gone.onnx"), "utf-8")
    assert main(["build", "fleet.yaml", "feasibility"]) == 1
    message = "net_truetouch_m0_int8 and 5 more: model.source: gone.onnx does not exist."
    assert capsys.readouterr().err.splitlines() == [f"fleet.yaml:2: {message}"]


def missed_lines(path: Path) -> list[str]:
    """What is said of products that miss one rule each, the first two in other words."""
    lines = {}
    for index, (name, project) in enumerate(load_products(path)):
        assert isinstance(project, Project)
        sentence = f"{max(1, index)},000 are too many"
        found = (Finding("budget.latency", False, 2, 1, sentence, "Hint."),)
        accuracy = Accuracy(integer=None, real=None, agreement=None)
        size = (Used(1, 2), Used(1, 2), StackUsed(1, 2), 1, 1.0, None, accuracy)
        job = Job(project, Path("build"))
        verdict = Verdict(name, project.chip.chip, False, "does not fit", *size, found)
        write_folder(job.folder / "report", {"verdict.json": json_bytes(verdict)}, {})
        lines[f"report:{name}"] = report.failures(job)
    return grouped(lines)


def test_a_rule_that_a_variant_misses_is_said_with_its_name(fleet: Path) -> None:
    fleet.write_text(YAML.replace("rp2040, stm32f030r8", "rp2040"), "utf-8")
    first, *others = missed_lines(Path("fleet.yaml"))
    assert first == ("fleet.yaml: net_truetouch_m0_int8 and 1 more: budget.latency: 1,000 are too many. Hint: Hint."), (
        "said once, as what is wrong before there is a verdict"
    )
    assert [line.split(": ")[1] for line in others] == ["net_rp2040_int8", "net_rp2040_int5"]
    fleet.write_text(YAML.partition("variants")[0].replace("net", "one") + "chip: rp2040\n", "utf-8")
    assert missed_lines(Path("fleet.yaml")) == ["fleet.yaml: budget.latency: 1,000 are too many. Hint: Hint."]


def test_a_product_of_another_file_with_a_variant_s_name_is_refused(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(
        YAML.partition("variants")[0].replace("net", "net_rp2040_int8") + "chip: rp2040\n", "utf-8"
    )
    assert main(["build", "import"]) == 1
    expected = "other.yaml:1: product: 'net_rp2040_int8' is also the product of fleet.yaml. Hint: Rename one."
    assert capsys.readouterr().err.splitlines() == [expected]


def test_explain_takes_the_file_and_means_its_variants(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fleet.yaml"]) == 1
    assert "'net_truetouch_m0_int8' was not built here" in capsys.readouterr().err


def test_variants_of_one_model_and_one_policy_ask_for_the_same_results() -> None:
    products = [p for _, p in load_products(ROOT / "examples" / "variants" / "fleet.yaml") if isinstance(p, Project)]

    def different(stage: Stage) -> int:
        files = [{n: file_sha256(f) for n, f in stage.inputs(p).items()} for p in products]
        return len({to_json([to_plain(stage.settings(p)), f]) for p, f in zip(products, files, strict=True)})

    assert [different(s) for s in (import_model, quantize)] == [2, 12], "int8 of two requantizers, and each width below"
    assert len({to_json(to_plain(codegen.settings(p))) for p in products}) > 12
