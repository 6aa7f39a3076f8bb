"""The families of machine code that can be measured: a folder each."""

from collections.abc import Mapping

from pipeline.measuring import thumb
from pipeline.measuring.machine_code.family import Family

FAMILIES: Mapping[str, Family] = {thumb.CODE.name: thumb}
