"""One network with its inputs and settings: what a seed draws, what a file keeps, what a check takes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from networks.network import Network, from_json, packed, unpacked
from pipeline.graph.tensor import Array

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True, eq=False)
class Case:
    """`style` names the check; `feeds` are (samples, *shape) for each input; `settings` those of the quantizer."""

    style: str
    network: Network
    feeds: Mapping[str, Array]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        data = {
            "style": self.style,
            "settings": dict(self.settings),
            "network": self.network.json(),
            "feeds": {k: packed(v) for k, v in self.feeds.items()},
        }
        path.write_text(json.dumps(data) + "\n")


def load(path: Path) -> Case:
    data = json.loads(path.read_text())
    feeds = {k: unpacked(v) for k, v in data["feeds"].items()}
    return Case(data["style"], from_json(data["network"]), feeds, data["settings"])
