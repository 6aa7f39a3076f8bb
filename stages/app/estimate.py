"""`chipfit estimate MODEL`: what a network would need on every known chip, without quantizing or compiling anything."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import absence_reason, is_file
from pipeline.facts.records import to_plain
from pipeline.importing.readers import READERS

USAGE = "chipfit estimate MODEL [--chip NAME] [--json]"


def estimate(arguments: Sequence[str]) -> int:
    """Print a model's layers and what a chip, or each known one, would need; `--json` prints the same as JSON."""
    from pipeline.facts.config import chip_folder, find_chip, known_chips
    from pipeline.planning.estimate import estimate as estimate_graph
    from stages.import_model import read_model

    model, chip = _options(arguments)
    path = Path(model)
    if path.suffix not in READERS:
        raise ChipfitError(f"is not one of {', '.join(READERS)}", place=Place(model), hint=USAGE)
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=Place(model), hint=USAGE)
    names = known_chips() if chip is None else [chip]
    folder = chip_folder() if chip is None else Path()  # a chip of one's own lies here, or in chips/
    chips = [find_chip(name, folder, Place("--chip")) for name in names]
    graph = read_model(path, model, "model")
    result = estimate_graph(graph, chips, application=chip is None)
    if "--json" in arguments:
        print(json.dumps(to_plain(result), indent=1))
        return 0
    from stages.app.terminal import print_estimate

    print_estimate(model, result)
    return 0


def _options(arguments: Sequence[str]) -> tuple[str, str | None]:
    """The model file, and the chip's name or None, from the command line."""
    rest, chip = [a for a in arguments if a != "--json"], None
    if "--chip" in rest:
        at = rest.index("--chip")
        if at + 1 == len(rest):
            raise ChipfitError("--chip needs the name of a chip", hint="chipfit chips lists them.")
        chip = rest[at + 1]
        del rest[at : at + 2]
    if len(rest) != 1 or rest[0].startswith("--"):
        raise ChipfitError("estimate takes one model file", hint=USAGE)
    return rest[0], chip
