"""Products and chips: YAML in, frozen and checked values out; every mistake at once, each with its line."""

from pipeline.facts.config.chips import chip_folder, find_chip, known_chips
from pipeline.facts.config.models import ChipSpec, DataSource, ProjectConfig
from pipeline.facts.config.project import Loaded, Project, load_project, load_variants, shown_names
from pipeline.facts.config.schema import json_schema

__all__ = [
    "ChipSpec",
    "DataSource",
    "Loaded",
    "Project",
    "ProjectConfig",
    "chip_folder",
    "find_chip",
    "json_schema",
    "known_chips",
    "load_project",
    "load_variants",
    "shown_names",
]
