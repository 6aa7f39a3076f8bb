"""`chipfit init`: a starter product and its dodo.py."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.errors import ChipfitError
from stages.app.options import Options

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
# variants:                    # every combination is a product of its own: my_product_rp2040_int8 and so on
#   chip: [truetouch-m0, rp2040]
#   quantization.weights: [int8, int5]
"""


CI_FILES = {"github": ".github/workflows/chipfit.yml", "gitlab": ".gitlab-ci.yml"}
"""Where each CI server looks for its jobs."""


def init(arguments: Sequence[str]) -> int:
    """Write a commented product.yaml and a three-line dodo.py, or a CI job; nothing that exists is overwritten."""
    options = Options("init")
    options.add_argument("folder", nargs="?", default=".", help="where to write (default: here)")
    options.add_argument("--ci", choices=sorted(CI_FILES), help="write a job for this server")
    given = options.parse_args(list(arguments))
    files = {"product.yaml": STARTER, "dodo.py": DODO} if given.ci is None else {CI_FILES[given.ci]: ci_job(given.ci)}
    folder = Path(given.folder)
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(text)
                print(f"wrote {folder / name}")
            except FileExistsError:
                print(f"{folder / name} exists and was left as it is")
    except OSError as error:
        raise ChipfitError(f"cannot be written: {error.strerror}", place=str(folder)) from error
    return 0


def ci_job(server: str) -> str:
    """The text of a job for a CI server, one of `CI_FILES`."""
    return (Path(__file__).parent / "ci" / f"{server}.yml").read_text("utf-8")
