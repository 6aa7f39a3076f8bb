"""What stands after `chipfit build`: names of products, doit's verbs and options, and what nobody knows."""

import json
from pathlib import Path

import pytest
from conftest import chipfit_here

from pipeline.facts.errors import ChipfitError
from stages.app.doit_line import Line, read_line, without_products


def test_options_stand_anywhere_and_their_values_are_no_words() -> None:
    assert read_line(["simulate:touch", "-n", "2"], ()) == Line("run", ("-n", "2"), ("simulate:touch",))
    assert read_line(["clean", "touch", "--dry-run"], ()) == Line("clean", ("--dry-run",), ("touch",))
    line, products = without_products(read_line(["-P", "thread", "th*", "report"], ()), ["thread", "report"])
    assert line == Line("run", ("-P", "thread"), ("report",)) and products == ["th*"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--lokced"], "--lokced is an option of neither chipfit build nor doit run. Hint: Did you mean '--locked'?"),
        (["--continu"], None),
        (["list", "-n", "2"], "-n is an option of neither chipfit build nor doit list."),
        (["-n"], "option -n requires argument."),
        (["-n", "x"], "-n is 'x', expected an integer."),
        (["-r", "x"], "-r is 'x', expected console or"),
    ],
)
def test_what_an_option_is_not_is_one_sentence(arguments: list[str], told: str | None) -> None:
    if told is None:
        assert read_line(arguments, ()).options == ("--continue",)
        return
    with pytest.raises(ChipfitError) as caught:
        read_line(arguments, ["--locked"])
    assert str(caught.value).startswith(f"chipfit build: {told}") and "CmdOption" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["toch"], "'toch' is no product, stage, task or verb of doit. Hint: Did you mean 'touch'?"),
        (["simulat"], "Did you mean 'simulate'?"),
        (["simulate:toch"], "Did you mean 'simulate:touch'?"),
        (["lst"], "Did you mean 'list'?"),
        (["touch", "list"], "Verbs come first: chipfit build list."),
        (["x*"], "'x*' is no product"),
        (["info", "touch"], "A product's task: quantize:touch."),
        (["info"], "doit info: `info` failed, must select *one* task. Check `chipfit build help info`."),
        (["list", "--jobs", "2"], "doit list runs no stage."),
        (["a=b"], "'a=b' is no product"),
        (["--store", "foo"], "--store: 'foo' does not begin with a known kind of store."),
    ],
)
def test_what_nobody_knows_is_one_sentence_before_anything_runs(
    arguments: list[str], told: str, products: Path
) -> None:
    done = chipfit_here(products, "build", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and told in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        (["touch"], 7),
        (["digits_*", "-n", "2"], 14),
        (["simulate", "touch"], 6),
        (["simulate:touch", "-n", "2"], 6),
        (["simulate:t*"], 6),
        (["build/touch/quantize/graph.json"], 3),
        (["configs/products/touch.yaml", "touch", "./configs/products/touch.yaml"], 7),
    ],
)
def test_products_and_tasks_by_name(arguments: list[str], stages: int, products: Path) -> None:
    done = chipfit_here(products, "build", "--json", *arguments)
    assert done.returncode == 0 and json.loads(done.stdout)["stages"] == {"up to date": stages}


def test_verbs_of_doit_take_the_names_of_products(products: Path) -> None:
    assert "status     : up-to-date" in chipfit_here(products, "build", "info", "quantize:touch").stdout
    assert "quantize:touch" in (said := chipfit_here(products, "build", "list", "--all", "touch").stdout)
    assert "digits" not in said
    cleaned = chipfit_here(products, "build", "clean", "--dry-run", "touch").stdout
    assert "simulate:touch" in cleaned and "digits" not in cleaned


def test_settings_that_mean_nothing_name_no_product_and_end_a_build_that_has_nothing_to_do(workshop: Path) -> None:
    (workshop / "chipfit.toml").write_text('[store]\nurll = "http://a.example"\n', "utf-8")
    done = chipfit_here(workshop, "build", "touch")
    (workshop / "chipfit.toml").unlink()
    where = workshop / "chipfit.toml"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{where}: store.urll: is not a known key. Hint: Did you mean 'url'?\n"
