"""`chipfit estimate MODEL`: what a network would need on every known chip, without quantizing or compiling anything."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.errors import ChipfitError, Place


def estimate(arguments: Sequence[str]) -> int:
    """Print a model's layers and what each known chip would need; `--json` prints the same as JSON."""
    from pipeline.config import chip_folder, find_chip, known_chips
    from pipeline.estimate import layers, needs, parameters, peak_activations
    from stages.import_model import read_model

    files = [a for a in arguments if not a.startswith("--")]
    unknown = [a for a in arguments if a.startswith("--") and a != "--json"]
    if len(files) != 1 or unknown:
        raise ChipfitError("estimate takes one model file", hint="chipfit estimate MODEL [--json]")
    path = Path(files[0])
    if not path.is_file():
        raise ChipfitError("does not exist", place=Place(files[0]), hint="Name an .onnx or .tflite file.")
    graph = read_model(path, files[0], "model")
    chips = [find_chip(name, chip_folder(), Place(name)) for name in known_chips()]
    rows, wanted = layers(graph), needs(graph, chips)
    totals = {"parameters": parameters(graph), "macs": graph.macs, "peak_activations": peak_activations(graph)}
    if "--json" in arguments:
        print(
            json.dumps({**totals, "layers": [asdict(r) for r in rows], "chips": [asdict(w) for w in wanted]}, indent=1)
        )
        return 0
    from stages.terminal import print_estimate

    print_estimate(files[0], totals, rows, wanted)
    return 0
