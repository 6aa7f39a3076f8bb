"""`chipfit schema`: the JSON Schema of a YAML."""

import json
from collections.abc import Sequence

from stages.app.options import Options


def schema(arguments: Sequence[str]) -> int:
    """Print the JSON Schema of a product or chip YAML, for editors."""
    from pipeline.facts.config import ChipSpec, json_schema

    options = Options("schema")
    options.add_argument("--chip", action="store_true", help="that of a chip, in place of a product's")
    chip = options.parse_args(arguments).chip
    print(json.dumps(ChipSpec.model_json_schema() if chip else json_schema(), indent=1))
    return 0
