"""The `chipfit` command: build, init, schema; everything else is doit's."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file

USAGE = """chipfit: from a trained network to integer C that provably fits a small chip

  chipfit build [PRODUCT.yaml ...] [DOIT ARGUMENTS]   build products (default: products found here)
  chipfit explain [PRODUCT] [--json]                  what the plan chose for each layer, and what else it could have
  chipfit estimate MODEL [--chip NAME] [--json]       what a model would need on every known chip, or on one
  chipfit init [FOLDER]                               write a commented product.yaml and a dodo.py
  chipfit schema [--chip]                             print the JSON Schema of a product or chip YAML
  chipfit chips                                       list the chips that chipfit knows
  chipfit --version

After `build`, anything that doit understands: list, clean, info quantize:touch, simulate:touch, -n 2.
Results go to build/ in the current folder. Exit code 1: something is wrong, each time said in one line; 130: Ctrl-C;
143: SIGTERM.
"""

DODO = '''"""Every product YAML in this folder; see `doit list`."""
from stages.app.schedule import doit_tasks
globals().update(doit_tasks("*.yaml"))
'''

STARTER = """# One product: a network, a chip, what is free on it, and how good the result must be.
product: my_product            # prefix of every C name, and the folder under build/
model: {source: model.onnx}    # .onnx, .tflite, or .pt2 (torch.export.save; needs chipfit[torch])
data:
  calibration: data.npz        # array calib (or x): typical inputs, first axis counts samples
  evaluation: data.npz         # arrays x and y: held-out inputs and their classes
chip: truetouch-m0             # `chipfit chips` lists the names; or write the chip's facts here
budget:                        # what your firmware leaves free; leave out what you do not limit
  flash: 100 KiB
  ram: 8 KiB
  stack: 1 KiB
  latency: 10 ms
quantization:                  # of a float model; a quantized one brings its own
  weights: int8                # or int7 to int2; of one layer: layers: {name: {weights: int4}}
  activations: int8            # or int16
  scales: per-channel          # or per-tensor
  zero_points: asymmetric      # or symmetric
  calibration: mse             # or min-max, percentile
  requantize: auto             # shift on cores without a long multiply, else multiplier; or say which
accuracy: {metric: top1, max_drop: 0.01}
optimize: latency              # fewest cycles in the free flash; or flash: least flash within the latency
toolchain: ziglang             # or gcc: arm-none-eabi-gcc from PATH
simulate: {vectors: 32}        # real inputs compared bit for bit on the emulated chip
"""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 1 after one line on stderr for each thing that is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = (given[0], given[1:]) if given else ("help", [])
    commands = {
        "build": build,
        "init": init,
        "schema": schema,
        "chips": chips,
        "estimate": estimate,
        "explain": explain,
    }
    try:
        if command in commands:
            code = commands[command](rest)
            sys.stdout.flush()
            return code
        if command in ("--version", "version"):
            from importlib.metadata import version

            print(f"chipfit {version('chipfit')}")
            return 0
        print(USAGE, end="")
        return 0 if command in ("help", "--help", "-h") else 1
    except ChipfitError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has enough: Python must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130


def build(arguments: Sequence[str]) -> int:
    """Run doit over the named products, or over those found in the current folder."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    from stages.app.schedule import doit_tasks

    products = [a for a in arguments if a.endswith((".yaml", ".yml"))]
    rest = [a for a in arguments if a not in products]
    missing = [p for p in products if not is_file(Path(p))]
    if missing:
        raise ChipfitError(absence_reason(Path(missing[0])), place=missing[0], hint="chipfit init writes a starter.")
    products = products or products_here()
    try:
        code = DoitMain(ModuleTaskLoader(doit_tasks(*products))).run(rest)
    except SystemExit as ended:
        code = ended.code
    return 0 if not code else 1


def products_here() -> list[str]:
    """The product YAMLs in configs/products, else in the current folder."""
    from stages.app.schedule import find_products

    for folder in (Path("configs/products"), Path()):
        found = find_products(folder) if folder.is_dir() else []
        if found:
            return [str(p) for p in found]
    raise ChipfitError("no product YAML here", place=".", hint="chipfit init writes a starter, or name one.")


def explain(arguments: Sequence[str]) -> int:
    """Print the plans of built products; see `stages.app.explain`."""
    from stages.app.explain import explain as run_explain

    return run_explain(arguments)


def estimate(arguments: Sequence[str]) -> int:
    """Print what a model would need on chips; see `stages.app.estimate`."""
    from stages.app.estimate import estimate as run_estimate

    return run_estimate(arguments)


def init(arguments: Sequence[str]) -> int:
    """Write a commented product.yaml and a three-line dodo.py; nothing that exists is overwritten."""
    folder = Path(arguments[0]) if arguments else Path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("product.yaml", STARTER), ("dodo.py", DODO)):
            try:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(text)
                print(f"wrote {folder / name}")
            except FileExistsError:
                print(f"{folder / name} exists and was left as it is")
    except OSError as error:
        raise ChipfitError(f"cannot be written: {error.strerror}", place=str(folder)) from error
    return 0


def schema(arguments: Sequence[str]) -> int:
    """Print the JSON Schema of a product or chip YAML, for editors."""
    from pipeline.facts.config import ChipSpec, json_schema

    print(json.dumps(ChipSpec.model_json_schema() if "--chip" in arguments else json_schema(), indent=1))
    return 0


def chips(arguments: Sequence[str]) -> int:
    """Print one line per known chip."""
    from pipeline.facts.config import chip_folder, find_chip, known_chips
    from pipeline.facts.errors import Place
    from pipeline.facts.units import show_size

    for name in known_chips():
        chip = find_chip(name, chip_folder(), Place(name))
        print(
            f"{name:<14} {chip.core:<14} {chip.clock / 1e6:>4.0f} MHz  flash {show_size(chip.flash.size):>10}"
            f"  RAM {show_size(chip.ram.size):>10}"
        )
    return 0
