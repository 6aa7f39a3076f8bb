"""`chipfit estimate MODEL`: what a network would need on every known chip, without quantizing or compiling anything."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import absence_reason, is_file
from pipeline.facts.records import to_plain
from pipeline.importing.readers import READERS
from stages.app.options import Options


def estimate(arguments: Sequence[str]) -> int:
    """Print a model's layers and what a chip, or each known one, would need; `--json` prints the same as JSON."""
    from pipeline.facts.config import chip_folder, find_chip, known_chips
    from pipeline.planning.estimate import estimate as estimate_graph
    from stages.import_model import read_model

    options = Options("estimate")
    options.add_argument("model", metavar="MODEL", help=f"a file: {', '.join(READERS)}")
    options.add_argument(
        "--chip", metavar="NAME", help="this chip alone (chipfit chips lists them), or a YAML of yours"
    )
    options.add_argument("--json", action="store_true", help="the same for programs")
    given = options.parse_args(arguments)
    model, chip = given.model, given.chip
    path = Path(model)
    hint = "Usage: chipfit estimate MODEL [--chip NAME] [--json]"
    if path.suffix not in READERS:
        raise ChipfitError(f"is not one of {', '.join(READERS)}", place=Place(model), hint=hint)
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=Place(model), hint=hint)
    names = known_chips() if chip is None else [chip]
    folder = chip_folder() if chip is None else Path()  # a chip of one's own lies here, or in chips/
    chips = [find_chip(name, folder, Place("--chip")) for name in names]
    graph = read_model(path, model, "model")
    result = estimate_graph(graph, chips, application=chip is None)
    if given.json:
        print(json.dumps(to_plain(result), indent=1))
        return 0
    from stages.app.terminal import print_estimate

    print_estimate(model, result)
    return 0
