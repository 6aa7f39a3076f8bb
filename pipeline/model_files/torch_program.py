"""A saved torch.export program as ONNX, in a process of its own: `python -m pipeline.model_files.torch_program IN OUT`.

Only this file imports torch. Nothing that an archive brings along is unpickled as code.
"""

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

OPSET = 18


def main(source: str, target: str) -> int:
    """Write `target`; 1 and a line that begins with `error: ` when that cannot be done."""
    refusal = refusal_reason(Path(source))
    if refusal:
        print(f"error: {refusal}")
        return 1
    # torch.load then refuses every pickle that is more than tensors, whoever calls it.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    import torch

    try:
        program = torch.export.load(source)
        exported = torch.onnx.export(program, (), dynamo=True, opset_version=OPSET, verbose=False)
    except Exception as error:
        print(f"error: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")
        return 1
    model = exported.model_proto
    clear_metadata(model)
    Path(target).write_bytes(model.SerializeToString(deterministic=True))
    return 0


def refusal_reason(path: Path) -> str:
    """The reason not to load an archive, "" where there is none: damaged, or objects that can only be unpickled."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not any(n.endswith("models/model.json") for n in names):
                return "it is no program that torch.export.save wrote"
            for name in names:
                if name.endswith("_config.json") and '"use_pickle": true' in json.dumps(json.loads(archive.read(name))):
                    return f"{name} holds pickled objects, which chipfit does not load"
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError) as error:
        return f"it is damaged or truncated ({error})"
    return ""


def clear_metadata(model: Any) -> None:
    """Clear the fields of an onnx.ModelProto that differ between machines: stack traces, paths, tools' notes."""
    graph = model.graph
    holders = (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for holder in (*holders, *model.functions):
        for field in ("metadata_props", "doc_string"):
            holder.ClearField(field)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
