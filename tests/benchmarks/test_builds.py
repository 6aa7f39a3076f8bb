"""The timings of builds are those of builds that did what they say."""

from pathlib import Path

import pytest
from builds import shipped


@pytest.mark.exhaustive
def test_each_build_restores_what_its_row_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped(tmp_path)
    said = [line.rpartition("   ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said[:2] == ["28 stages: 2 restored; 26 ran", "28 stages: 28 restored"]
    assert said[2].endswith(" ran") and said[3] == "7 stages: 6 restored; 1 up to date"
    assert said[4] == "28 stages: 28 restored, 26 of them from the shared store"
