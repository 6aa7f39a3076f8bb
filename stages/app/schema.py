"""`chipfit schema`: the JSON Schema of a YAML."""

import json
from collections.abc import Sequence


def schema(arguments: Sequence[str]) -> int:
    """Print the JSON Schema of a product or chip YAML, for editors."""
    from pipeline.facts.config import ChipSpec, json_schema

    print(json.dumps(ChipSpec.model_json_schema() if "--chip" in arguments else json_schema(), indent=1))
    return 0
