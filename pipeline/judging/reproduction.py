"""The rule on a build from a lock: it makes what was locked."""

from pipeline.judging.evidence import Evidence
from pipeline.judging.verdict import Finding


def reproduced(e: Evidence) -> Finding | None:
    """A build from a lock makes the library that the lock names, byte for byte."""
    library = e.library
    if library is None:
        return None
    differing = len(library.differing)
    if not differing:
        return Finding(
            "lock", True, 0, 0, f"{library.files} files of the library are, byte for byte, those of {library.lock}"
        )
    sentence = f"{differing} files of the library are not those of {library.lock}, first {library.differing[0]}"
    return Finding("lock", False, differing, 0, sentence, "chipfit lock writes a new one.")
