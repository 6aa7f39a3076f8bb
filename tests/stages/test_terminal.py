"""The table of verdicts: rows of products that have one, and names that are only text."""

from pathlib import Path

from pipeline.facts.records import json_bytes
from pipeline.judging.verdict import StackUsed, Used, Verdict
from pipeline.quantizing.quantize_file import Accuracy
from stages.app.terminal import cell, table

VERDICT = Verdict(
    product="net", chip="chip", passed=True, verdict="fits", flash=Used(2048, 4096), ram=Used(100, 512),
    stack=StackUsed(64, None), cycles=12345, latency_us=250.0, latency_limit_us=None,
    accuracy=Accuracy(0.94, 0.95, 0.98), findings=(),
)  # fmt: skip


def test_products_with_a_verdict_are_rows_and_others_are_left_out(tmp_path: Path) -> None:
    assert table(tmp_path, ["net", "other"]) == ""
    (tmp_path / "net" / "report").mkdir(parents=True)
    (tmp_path / "net" / "report" / "verdict.json").write_bytes(json_bytes(VERDICT))
    (tmp_path / "cut" / "report").mkdir(parents=True)
    (tmp_path / "cut" / "report" / "verdict.json").write_bytes(json_bytes(VERDICT)[:-30])
    shown = table(tmp_path, ["net", "cut", "other"])
    (row,) = [line for line in shown.splitlines() if "fits" in line]
    for text in ("net", "chip", "2.0 KiB", "4.0 KiB", "12,345", "250"):
        assert text in row


def test_a_name_neither_moves_the_cursor_nor_is_markup() -> None:
    assert cell("[bold]a\x1b[2Jb") == "\\[bold]a\\x1b[2Jb" and len(cell("n" * 900)) <= 200
