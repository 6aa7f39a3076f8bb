"""JSON Schema of a product YAML, for editors."""

from typing import Any

from pipeline.facts.config.models import ProjectConfig
from pipeline.facts.config.variant_models import Variants
from pipeline.facts.config.variants import NONE


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a product YAML, for editors.

    It requires no key: what one file leaves out, another may have that it extends, or each of its variants.
    """
    schema = ProjectConfig.model_json_schema()
    definitions = schema["$defs"]
    for field in definitions["DataSection"]["properties"].values():
        field["anyOf"].append({"type": "string", "description": "The .npz file, with default keys"})
    for definition in (schema, *definitions.values()):
        definition.pop("required", None)
    part = {k: v for k, v in schema["properties"].items() if k != "product"}
    schema["properties"] |= {
        "extends": {"type": "string", "description": "Another product YAML to start from"},
        "variants": {"anyOf": [_variants(definitions, part), {"const": NONE}], "description": Variants.__doc__},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _variants(definitions: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Schema of `variants`; `part` are the keys that may differ. What it refers to is added to the definitions."""
    schema = Variants.model_json_schema()
    definitions |= schema.pop("$defs")
    override = definitions["Override"]
    override |= {"properties": {**part, **override["properties"]}, "additionalProperties": False}
    definitions["Part"] = {"type": ["object", "null"], "properties": part, "additionalProperties": False}
    for form in schema["additionalProperties"]["oneOf"]:
        if form["type"] == "object":
            form["additionalProperties"] = {"$ref": "#/$defs/Part"}
    return schema
