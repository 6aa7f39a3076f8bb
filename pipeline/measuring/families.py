"""Table of the families of machine code that can be measured; each is a folder."""

from collections.abc import Mapping

from pipeline.measuring import thumb
from pipeline.measuring.machine_code.family import Family

FAMILIES: Mapping[str, Family] = {thumb.CODE.name: thumb}
