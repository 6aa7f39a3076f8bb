"""A limit on the size of a file that a product names, before a byte of it is read."""

from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import file_size


def check_size(project: Project, key: str, shown: str, path: Path, limit: int) -> None:
    """Raise ChipfitError at the setting `key` where `path`, in words `shown`, has more than `limit` bytes."""
    if file_size(path) > limit:
        message = f"{key}: {shown} has {file_size(path)} bytes, the limit is {limit}"
        raise ChipfitError(message, place=project.place(key), hint="Check that it is the file that you mean.")
