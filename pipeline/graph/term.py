"""A function of single values, spelled out."""

from typing import Any

Term = tuple[Any, ...]
"""("input", index), ("constant", value), or (operator, ((parameter, value), ...), terms...)."""
