"""Stage `export`: a saved PyTorch program becomes an ONNX file; only for products whose source is a .pt2 file."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file
from pipeline.model_files.exported import EXPORTED
from stages.base import Job

NAME = "export"
READS: Mapping[str, tuple[str, ...]] = {}
TARGETS = ("model.onnx",)
_SECONDS = 600


def applies(project: Project) -> bool:
    """Whether the product's model is a torch.export program."""
    return Path(project.config.model.source).suffix in EXPORTED


def settings(project: Project) -> Mapping[str, object]:
    return {}


def inputs(project: Project) -> Mapping[str, Path]:
    return {"model": project.file("model.source", project.config.model.source)}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.measuring.toolchain.process import ToolError
    from pipeline.measuring.toolchain.process import run as run_tool
    from pipeline.measuring.toolchain.scratch import scratch

    written = job.project.config.model.source
    place, path = job.project.place("model.source"), job.project.file("model.source", written)
    if not is_file(path):
        raise ChipfitError(f"model.source: {written} {absence_reason(path)}", place=place)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
        raise ChipfitError(
            f"model.source: {written} needs PyTorch to be read",
            place=place,
            hint="Run pip install 'chipfit[torch]', or export the network to ONNX yourself (torch.onnx.export).",
        )
    with scratch() as folder:
        target = folder / "model.onnx"
        command = [sys.executable, "-m", "pipeline.model_files.torch_program", str(path.resolve()), str(target)]
        try:
            run_tool(command, Path(__file__).parent.parent, f"exporting {path.name}", _SECONDS)
        except ToolError as error:
            lines = [x for x in error.printed.splitlines() if x.startswith("error: ")]
            why = lines[-1].removeprefix("error: ") if lines else error.message
            raise ChipfitError(
                f"model.source: {written} cannot be exported: {why.rstrip('.')}",
                place=place,
                hint="Save it with torch.export.save(torch.export.export(model.eval(), (example,)), path).",
            ) from error
        return {"model.onnx": target.read_bytes()}
