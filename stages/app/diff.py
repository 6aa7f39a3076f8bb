"""`chipfit diff`: what changed between two builds of the same products, and what made it change."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import to_plain
from pipeline.facts.text import in_sentence
from stages.app.options import Options

if TYPE_CHECKING:
    from pipeline.judging.differences import Side
    from pipeline.judging.differences.diff import Differences


def diff(arguments: Sequence[str]) -> int:
    """Print the comparison: of HEAD with the working tree, or of the sides named.

    The exit code is 1 where a product of the new side does not build, with `--regression` where one is worse than its
    YAML allows, and with `--exit-code` where anything differs.
    """
    from pipeline.judging.differences import compare, with_regression
    from stages.app import signals
    from stages.app.sides import check_wanted, side, sources
    from stages.store import open_store
    from stages.store.settings import read_settings

    options = _options().parse_args(arguments)
    if len(options.sides) > 2:
        raise ChipfitError("diff takes two sides at most", hint="Usage: chipfit diff [OLD [NEW]].")
    signals.install()
    old, new = sources(options.sides)
    store = open_store(read_settings())  # of this folder, not of an old revision's
    locked = old.is_lock or new.is_lock
    wanted = options.product or [n for s in (old, new) if s.is_lock for n in side(s, ())]
    before, after = (side(s, wanted, store, locked) for s in (old, new))
    check_wanted(options.product, before.keys() | after.keys())
    comparison = compare(old.name, before, new.name, after)
    if options.regression:
        comparison = with_regression(comparison, before, after)
    if options.json:
        print(json.dumps(to_plain(comparison), indent=1))
    elif options.markdown:
        from pipeline.judging.differences.markdown import render_differences

        print(render_differences(comparison), end="")
    else:
        from stages.app.diff_table import print_differences

        print_differences(comparison)
    broken = {n: s for n, s in after.items() if isinstance(s, str)}
    for name, sentence in sorted(broken.items()):
        print(in_sentence(f"{name} was not compared: {sentence}"), file=sys.stderr)
    worse = _worse(comparison, after) if options.regression else []
    for error in worse:
        print(error, file=sys.stderr)
    asked = options.exit_code and (comparison.differs or not comparison.complete)
    return 1 if broken or worse or asked else 0


def _worse(comparison: "Differences", new: "Side") -> list[ChipfitError]:
    """Every limit of `regression` that the new side misses, as the build says a missed rule."""
    from pipeline.judging.differences.diff import Snapshot

    errors = []
    for product in comparison.products:
        built = new.get(product.product)
        if not isinstance(built, Snapshot):
            continue
        if built.limits is None:
            message = "the new side has no record of what its YAML allows for regression"
            hint = "A lock has none: name a revision or a folder that was built by this version of chipfit."
            errors.append(ChipfitError(message, place=product.product, hint=hint))
        errors += [
            ChipfitError(f"{f.key}: {f.sentence}", place=built.places.get(f.key, product.product), hint=f.hint)
            for f in product.missed
        ]
    return errors


def _options() -> Options:
    parser = Options("diff")
    parser.add_argument("sides", nargs="*", metavar="SIDE", help="a build folder, a lock file, a revision, or OLD..NEW")
    parser.add_argument("--product", action="append", default=[], metavar="NAME", help="only this product")
    parser.add_argument("--regression", action="store_true", help="exit code 1 where more is lost than its YAML allows")
    parser.add_argument("--exit-code", action="store_true", help="exit code 1 where anything differs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything, for programs")
    form.add_argument("--markdown", action="store_true", help="for a pull request")
    return parser
