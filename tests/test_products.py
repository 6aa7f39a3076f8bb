"""The whole, through the command: products build, results are cached and reproducible, failures are sentences."""

import json
import shutil
import subprocess
from pathlib import Path

import onnx
import onnxruntime
import pytest
from conftest import chipfit, chipfit_here, need

from stages.app.cli import main


def read(folder: Path, path: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / "build" / path).read_text("utf-8"))
    return document


def test_a_second_build_runs_nothing(workshop: Path) -> None:
    done = chipfit(workshop, "build")
    assert done.returncode == 0
    assert " s\n" not in done.stdout, "a stage ran"


def test_results_have_the_documented_keys(workshop: Path) -> None:
    size, simulated = read(workshop, "touch/size-check/size.json"), read(workshop, "touch/simulate/simulate.json")
    assert size["float_symbols"] == [] and str(size["toolchain"]).startswith("ziglang")
    assert simulated["vectors"] == {"run": 35, "real": 32, "mismatches": 0, "host_mismatches": 0}
    quantized = read(workshop, "touch/quantize/quantize.json")
    assert quantized["export"]["unexplained"] == 0 and quantized["faithful"] is None  # type: ignore[index]
    assert simulated["accuracy"]["samples"] == 32 and simulated["accuracy"]["integer"] > 0.8  # type: ignore[index]
    cycles, stack = simulated["cycles"], size["stack"]
    assert isinstance(cycles, dict) and isinstance(stack, dict)
    assert cycles["min"] == cycles["max"] == cycles["zero_wait"] and not cycles["depends_on_input"]
    watermark = simulated["stack"]
    assert isinstance(watermark, dict) and 0 < watermark["watermark"] <= stack["worst_case"]


@pytest.mark.parametrize("product", ["touch", "digits", "digits_rp2040", "digits_mlp"])
def test_what_was_estimated_contains_what_was_measured(
    workshop: Path, product: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = read(workshop, f"{product}/report/verdict.json")
    model = workshop / "configs" / "models" / f"{product.removesuffix('_rp2040')}.onnx"
    assert main(["estimate", str(model), "--json", "--chip", str(verdict["chip"])]) == 0
    estimated = json.loads(capsys.readouterr().out)
    (need,) = estimated["chips"]
    size, simulated = (read(workshop, f"{product}/{p}") for p in ("size-check/size.json", "simulate/simulate.json"))
    smallest = read(workshop, f"{product}/codegen/plan.json")["plan"]["frontier"][0]["flash"]  # type: ignore[index]
    assert need["flash"][0] <= smallest <= need["flash"][1]
    assert need["flash"][0] <= size["flash"]["used"]  # type: ignore[index]
    assert need["seconds"][0] <= simulated["latency_us"] / 1e6 <= need["seconds"][1]  # type: ignore[operator]
    # Where all layers are one chain on the stack, there is no arena.
    chained = [c["kernel"] for c in read(workshop, f"{product}/codegen/plan.json")["calls"]] == ["fused_dense"]  # type: ignore
    assert size["ram"]["used"] == (0 if chained else estimated["arena"])  # type: ignore[index]


@pytest.mark.parametrize("product", ["touch", "digits", "digits_rp2040", "digits_mlp"])
def test_the_written_model_is_valid_and_opens_in_onnx_runtime(workshop: Path, product: str) -> None:
    path = workshop / "build" / product / "quantize" / "model.qdq.onnx"
    onnx.checker.check_model(path, full_check=True)
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_two_folders_give_the_same_bytes(workshop: Path, tmp_path: Path) -> None:
    shutil.copytree(workshop / "configs", tmp_path / "elsewhere" / "configs")
    assert chipfit_here(tmp_path / "elsewhere", "build", "configs/products/touch.yaml").returncode == 0
    ours, theirs = workshop / "build" / "touch", tmp_path / "elsewhere" / "build" / "touch"
    names = sorted(p.relative_to(ours) for p in ours.rglob("*") if p.is_file() and p.name != ".lock")
    assert names == sorted(p.relative_to(theirs) for p in theirs.rglob("*") if p.is_file() and p.name != ".lock")
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_a_changed_key_reruns_only_what_reads_it(workshop: Path) -> None:
    path = workshop / "configs" / "products" / "touch.yaml"
    before = path.read_text("utf-8")
    try:
        path.write_text(before.replace("latency: 100 us", "latency: 80 us"), "utf-8")
        done = chipfit(workshop, "build", str(path.relative_to(workshop)))
        ran = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" s")]
        assert done.returncode == 1
        assert ran == ["feasibility"], "it looks at the budget, and changes nothing that others read"
        assert "touch.yaml:8: budget.latency: needs 82.6 us, limit 80 us (1.0x). Hint: 3840 cycles" in done.stderr
        assert "DOES NOT FIT" in done.stdout and "Traceback" not in done.stderr
        again = chipfit(workshop, "build", str(path.relative_to(workshop)))
        assert again.returncode == 1, "a missed budget must fail every time"
    finally:
        path.write_text(before, "utf-8")


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_damaged_target_is_made_again(workshop: Path, damage: bytes | None) -> None:
    target = workshop / "build" / "touch" / "quantize" / "quantize.json"
    whole = target.read_bytes()
    target.unlink() if damage is None else target.write_bytes(damage)
    done = chipfit_here(workshop, "build")
    assert done.returncode == 0
    assert target.read_bytes() == whole


@pytest.mark.parametrize(
    ("verb", "shows"),
    [
        (("list", "--all"), "size-check:touch"),
        (("info", "quantize:touch"), "quantize:touch"),
        (("simulate:touch",), ""),
        (("-n", "2"), "fits"),
        (("clean", "--dry-run"), "report:touch"),
    ],
)
def test_verbs_of_doit_work(workshop: Path, verb: tuple[str, ...], shows: str) -> None:
    done = chipfit(workshop, "build", *verb)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shows in done.stdout


def test_clean_removes_results_and_a_build_brings_them_back(workshop: Path) -> None:
    report = workshop / "build" / "touch" / "report" / "index.html"
    whole = report.read_bytes()
    two = [f"configs/products/{n}.yaml" for n in ("touch", "digits_mlp")]
    assert chipfit(workshop, "build", *two, "clean").returncode == 0
    assert not report.exists()
    assert chipfit(workshop, "build", *two, "-n", "2").returncode == 0
    assert report.read_bytes() == whole


def test_the_generated_library_is_clean_under_sanitizers_and_warnings(workshop: Path, tmp_path: Path) -> None:
    need("gcc")
    for product in ("touch", "digits"):
        library = workshop / "build" / product / "codegen"
        sources = [str(p) for p in [*(library / "src").glob("*.c"), *(library / "test").glob("*.c")]]
        flags = "-std=c99 -Wall -Wextra -Wconversion -Wshadow -Werror -fsanitize=address,undefined".split()
        flags.append(f"-D{product.upper()}_SELFTEST_MAIN")
        out = tmp_path / product
        include = [f"-I{library / 'include'}", f"-I{library / 'src'}"]
        subprocess.run(["gcc", *flags, "-fno-sanitize-recover=all", *include, *sources, "-o", str(out)], check=True)
        assert subprocess.run([str(out)], check=False).returncode == 0


def test_the_step_hook_is_called_before_each_layer_and_at_the_end(workshop: Path, tmp_path: Path) -> None:
    need("gcc")
    library = workshop / "build" / "touch" / "codegen"
    (tmp_path / "hook.c").write_text(
        '#include "touch.h"\nstatic int32_t next;\n'
        "void touch_step(int32_t step) { next = step == next ? next + 1 : -1; }\n"
        "int main(void)\n{\n    static int8_t in[TOUCH_INPUT_SIZE], out[TOUCH_OUTPUT_SIZE];\n"
        "    touch_run(in, out);\n    return next == TOUCH_LAYERS + 1 ? 0 : 1;\n}\n",
        "utf-8",
    )
    sources = [str(p) for p in (library / "src").glob("*.c")]
    include = [f"-I{library / 'include'}", f"-I{library / 'src'}"]
    out = tmp_path / "hook"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-DTOUCH_STEP_HOOK"]
    subprocess.run(["gcc", *flags, *include, *sources, str(tmp_path / "hook.c"), "-o", str(out)], check=True)
    assert subprocess.run([str(out)], check=False).returncode == 0


def test_gcc_is_one_key_away(workshop: Path) -> None:
    need("arm-none-eabi-gcc")
    folder = workshop / "configs" / "products"
    (folder / "touch_gcc.yaml").write_text("extends: touch.yaml\nproduct: touch_gcc\ntoolchain: gcc\n", "utf-8")
    done = chipfit(workshop, "build", "configs/products/touch_gcc.yaml")
    assert done.returncode == 0, done.stderr
    assert str(read(workshop, "touch_gcc/size-check/size.json")["toolchain"]).startswith("arm-none-eabi-gcc")
    (folder / "touch_gcc.yaml").unlink()


def test_init_writes_a_starter_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert len((tmp_path / "dodo.py").read_text("utf-8").splitlines()) == 3
    (tmp_path / "product.yaml").write_text("mine", "utf-8")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "product.yaml").read_text("utf-8") == "mine"
    assert "left as it is" in capsys.readouterr().out


def test_schema_chips_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == main(["schema", "--chip"]) == main(["chips"]) == main(["--version"]) == 0
    shown = capsys.readouterr().out
    assert '"$schema"' in shown and "truetouch-m0" in shown and "chipfit 0." in shown
    assert main(["no-such-command"]) == 1
