"""Runs one stage of one product in this process alone, and prints as JSON what Python saw it import and open.

What stages/keys opens does not count: it reads every file to say the digests of some.

python audited.py STAGE_MODULE PRODUCT.yaml BUILD_FOLDER
"""

import os
import sys

_opened: list[str] = []


def _listen(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike) and not _within_keys():
        _opened.append(os.fsdecode(arguments[0]))


def _within_keys() -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if "/stages/keys/" in frame.f_code.co_filename.replace(os.sep, "/"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


sys.addaudithook(_listen)  # before anything of chipfit is imported


def main(module: str, product: str, build: str) -> None:
    import json
    from importlib import import_module
    from pathlib import Path

    from pipeline.facts.artifact import write_folder
    from pipeline.facts.config import load_project

    stage = import_module(module)
    job = import_module("stages.base").Job(load_project(Path(product)), Path(build))
    inputs = {str(p.resolve()) for p in stage.inputs(job.project).values()}
    stage.settings(job.project)
    configured = len(_opened)
    files = stage.run(job)
    opened = [str(Path(p).resolve()) for p in _opened]
    loaded = [n for n, m in list(sys.modules.items()) if getattr(m, "__spec__", None) is not None]
    write_folder(job.folder / stage.NAME, files, {"made by": "a test"})
    found = {"modules": loaded, "opened": opened, "run": opened[configured:], "inputs": sorted(inputs)}
    print(json.dumps(found))


if __name__ == "__main__":
    sys.path[0] = os.environ["CHIPFIT_ROOT"]  # instead of the folder of tests
    main(*sys.argv[1:])
