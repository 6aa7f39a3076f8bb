"""`chipfit build --json`: one document on stdout, whatever happens; people's lines go to stderr."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import chipfit, chipfit_here

from pipeline.facts.errors import ChipfitError
from stages import report
from stages.app.build import _jobs, build


def document(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = chipfit(folder, "build", "--json", *arguments)
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["version"] == 1 and found["exit_code"] == code
    return found


def test_products_asked_for_are_those_of_the_index(workshop: Path) -> None:
    found = document(workshop, "configs/products/touch.yaml", "--jobs", "2")
    index = json.loads((workshop / "build" / "index.json").read_bytes())
    assert [p["product"] for p in index["products"]] == ["digits", "digits_mlp", "digits_rp2040", "touch"]
    assert found["products"] == index["products"][3:] and found["unfinished"] == found["errors"] == []
    assert found["stages"] == {"up to date": 7}


def test_missed_rules_and_products_without_a_result_say_why(workshop: Path) -> None:
    path = workshop / "configs" / "products" / "touch.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("100 us", "80 us"), "utf-8")
    (workshop / "configs" / "products" / "bad.yaml").write_text("product: bad\nchip: none\n", "utf-8")
    found = document(workshop, "configs/products/touch.yaml", "configs/products/bad.yaml", code=1)
    path.write_text(text, "utf-8")
    (touch,), (bad,) = found["products"], found["unfinished"]
    assert [m["rule"] for m in touch["missed"]] == ["budget.latency"] and touch["missed"][0]["limit"] == 8e-5
    assert bad["product"] == "bad" and any("bad.yaml" in line for line in bad["errors"])
    assert found["stages"]["failed"] >= 1


def test_a_report_that_crashes_over_one_of_a_missed_rule_leaves_no_verdict(
    workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workshop / "configs" / "products" / "touch.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("100 us", "80 us"), "utf-8")
    assert [p["product"] for p in document(workshop, "configs/products/touch.yaml", code=1)["products"]] == ["touch"]
    path.write_text(text.replace("100 us", "70 us"), "utf-8")
    monkeypatch.setattr(report, "run", lambda job: 1 // 0)
    done = chipfit_here(workshop, "build", "--json", "configs/products/touch.yaml")
    path.write_text(text, "utf-8")
    found = json.loads(done.stdout)
    assert (done.returncode, found["products"]) == (2, [])
    ((unfinished,), stages) = found["unfinished"], found["stages"]
    assert unfinished["product"] == "touch" and "please report it" in unfinished["errors"][0]
    assert stages["failed"] == 1 and "latency/budget" not in done.stderr
    assert "please report it" in (workshop / "build" / "junit.xml").read_text("utf-8")


def test_without_a_product_the_error_is_in_the_document(tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "build", "--json")
    assert done.returncode == 1 and "no product YAML here" in json.loads(done.stdout)["errors"][0]
    assert "no product YAML here" in done.stderr


@pytest.mark.parametrize("jobs", ["00", "-1", "two", "9999", ""])
def test_jobs_is_a_number_of_stages(jobs: str) -> None:
    with pytest.raises(ChipfitError, match="jobs"):
        build([f"--jobs={jobs}"])


def test_a_store_of_the_command_line_keeps_what_another_folder_restores(workshop: Path, tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    product = ["configs/products/touch.yaml", "quantize:touch"]
    shutil.rmtree(workshop / "build" / "touch")
    assert document(workshop, *product, "--no-store")["stages"] == {"ran": 3}
    shutil.rmtree(workshop / "build" / "touch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "own"))
        assert document(workshop, *product, "--store", url, "--store-mode", "read-write")["stages"] == {"ran": 3}
        shutil.rmtree(workshop / "build" / "touch")
        patch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "other"))
        assert document(workshop, *product, "--store", url)["stages"] == {"shared": 3}


def test_a_store_is_named_or_not_wanted(tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "build", "--store", "file:///tmp", "--no-store")
    assert done.returncode == 1 and "--no-store" in done.stderr


def test_as_many_jobs_as_cores() -> None:
    assert _jobs("2") == 2 and _jobs("auto") == _jobs("0") >= 1
