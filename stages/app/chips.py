"""`chipfit chips`: the chips that come with chipfit."""

from collections.abc import Sequence

from stages.app.options import Options


def chips(arguments: Sequence[str]) -> int:
    """Print one line per known chip."""
    from pipeline.facts.config import chip_folder, find_chip, known_chips
    from pipeline.facts.errors import Place
    from pipeline.facts.units import show_size

    Options("chips").parse_args(arguments)
    for name in known_chips():
        chip = find_chip(name, chip_folder(), Place(name))
        print(
            f"{name:<14} {chip.core:<14} {chip.clock / 1e6:>4.0f} MHz  flash {show_size(chip.flash.size):>10}"
            f"  RAM {show_size(chip.ram.size):>10}"
        )
    return 0
