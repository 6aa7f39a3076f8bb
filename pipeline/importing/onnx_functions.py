"""Operators that ONNX itself defines by others: where we have no kernel, their definition is read instead."""

from collections.abc import Set

import onnx
from onnx import inliner, shape_inference

_STANDARD = ("", "ai.onnx")


def inline_functions(model: onnx.ModelProto, known: Set[str]) -> onnx.ModelProto:
    """The model with functions in place: its own, and ONNX's for operators that are not `known`.

    The very same object when there is nothing to do or ONNX cannot say the function for these types.
    """
    unknown = {
        (n.domain if n.domain not in _STANDARD else "", n.op_type)
        for n in model.graph.node
        if n.op_type not in known or n.domain not in _STANDARD
    }
    functions = [i for i in unknown if _is_function(*i, model)]
    if not functions and not model.functions:
        return model
    try:
        inlined = inliner.inline_local_functions(model) if model.functions else model
        typed = shape_inference.infer_shapes(inlined)
        inlined = inliner.inline_selected_functions(typed, functions, inline_schema_functions=True)
    except Exception:  # onnx raises whatever its C++ raises; the operator is then refused by name
        return model
    return inlined


def _is_function(domain: str, op: str, model: onnx.ModelProto) -> bool:
    if op == "Range":  # its function is a Loop; of constants, as it always is, it is evaluated
        return False
    version = max((o.version for o in model.opset_import if o.domain == domain), default=0)
    try:
        schema = onnx.defs.get_schema(op, version, domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a version beyond 32 bits
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)
