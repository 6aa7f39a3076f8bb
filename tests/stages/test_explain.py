"""`chipfit explain`: what was chosen and what else there was, in the terminal and as JSON."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.facts.records import from_json
from pipeline.judging.report.plan import Alternative, brief, plan_rows
from pipeline.planning.plan_file import PlanFile, Refusal
from stages.app.cli import main


def test_it_tells_every_layer_and_what_else_there_was(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workshop)
    assert main(["explain", "touch"]) == 0
    output = capsys.readouterr().out
    assert "touch: Optimized for the fewest cycles in the free flash" in output
    assert "node_linear_2" in output and "fused_dense" in output
    assert "packed_narrow + packed_narrow + packed_narrow:" in output
    assert "Measured: 3,964 cycles" in output
    assert main(["explain", "configs/products/touch.yaml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["touch"]
    assert [x["variant"] for x in told["layers"]] == ["fused_dense"]
    (layer,) = told["layers"]
    assert layer["cycles"] == layer["measured"] and 0 < 3964 - layer["measured"] < 50 and 1 < layer["ratio"] < 3


def test_the_readme_shows_what_is_printed(
    workshop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workshop)
    assert main(["explain", "digits"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "```\n" + "\n".join(lines) + "\n```\n" in (ROOT / "README.md").read_text("utf-8")


def test_what_needs_too_much_stack_is_said(workshop: Path) -> None:
    plan = from_json(PlanFile, (workshop / "build" / "digits" / "codegen" / "plan.json").read_bytes(), "plan.json")
    assert [c.refused for c in plan.calls] == [()] * 5
    why = "needs 712 B of stack, 200 B are free"
    refusing = replace(plan.calls[0], refused=(Refusal("packed_split", why),))
    first, second, *_ = plan_rows(replace(plan, calls=(refusing, *plan.calls[1:])), None)
    assert first.alternatives[-1] == Alternative("packed_split", why)
    assert Alternative("packed_split", why) not in second.alternatives


def test_the_summary_for_a_pull_request_has_a_line_about_the_plan(workshop: Path) -> None:
    summary = (workshop / "build" / "touch" / "report" / "summary.md").read_text("utf-8")
    assert summary.count("Optimized for the fewest cycles in the free flash") == 1


def test_joined_names_are_cut_where_they_were_joined() -> None:
    assert brief("a/Relu;b/BiasAdd;c") == "a/Relu;..."
    assert brief("/0/Conv") == "/0/Conv"


def test_products_that_are_not_there_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain"]) == 1
    assert capsys.readouterr().err == "build: no product was built here. Hint: Run chipfit build first.\n"
    assert main(["explain", "nothing"]) == 1
    assert "'nothing' was not built here" in capsys.readouterr().err
    assert main(["explain", "--all"]) == 1
    assert "chipfit explain: unrecognized arguments: --all" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [(["explain", "touch"], 1), (["build"], 0)])
def test_who_reads_it_may_stop_reading(workshop: Path, arguments: list[str], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", f"import sys; from stages.app.cli import main; sys.exit(main({arguments}))"]
    ended = subprocess.run(command, cwd=workshop, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (code, b"")
