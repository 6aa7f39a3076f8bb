"""What the rules read."""

from dataclasses import dataclass

from pipeline.facts.config.models import ChipSpec, ProjectConfig
from pipeline.facts.totals import Totals
from pipeline.measuring.footprint.size_file import SizeFile
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.quantizing.quantize_file import QuantizeFile


@dataclass(frozen=True)
class LockedLibrary:
    """A library beside that of the lock, a file called `lock`: how many files both have, and which are not the same."""

    lock: str
    files: int
    differing: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """A product's configuration and chip, the files of the measuring stages, and the figures of its lock.

    `locked` is a sentence where there is no lock to read. `library` is there where the build is one from a lock.
    """

    config: ProjectConfig
    chip: ChipSpec
    quantize: QuantizeFile
    size: SizeFile
    simulate: SimulateFile
    locked: Totals | str = "there is no lock to compare with"
    library: LockedLibrary | None = None
