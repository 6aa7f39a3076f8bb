"""`python -m networks --count 1000 --seed 7`, or `--replay qdq 123`, from `tests/` with PYTHONPATH=`..`."""

import argparse
import time
from pathlib import Path

from networks.campaign import STYLES, Tally, attempt, described, drawn, report, run, shrunk, signature
from networks.case import CASES, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="networks", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="networks of each style")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; each network has the next one")
    parser.add_argument("--style", choices=STYLES, action="append", help="all unless given")
    parser.add_argument("--replay", nargs=2, metavar=("STYLE", "SEED"), help="shrink and show one network; or a FILE -")
    parser.add_argument("--keep", metavar="NAME", help=f"save what --replay shrinks in {CASES.name}/NAME.json")
    parser.add_argument("--whole", action="store_true", help="do not shrink what --replay shows")
    given = parser.parse_args()
    if given.replay:
        return replay(given)
    began, tallies = time.monotonic(), {s: Tally() for s in given.style or STYLES}
    for style, tally in tallies.items():
        for seed in range(given.seed, given.seed + given.count):
            run(style, seed, tally)
    print(report(tallies))
    print(f"{time.monotonic() - began:.0f} s")
    return int(any(t.findings for t in tallies.values()))


def replay(given: argparse.Namespace) -> int:
    style, seed = given.replay
    case = load(Path(style)) if seed == "-" else drawn(style, int(seed))
    made = attempt(case)
    if isinstance(made, BaseException):
        case = case if given.whole else shrunk(case)
        made = attempt(case)
        assert isinstance(made, BaseException)
        if given.keep:
            case.save(CASES / f"{given.keep}.json")
        print(described(case), f"{signature(made)}: {made}", sep="\n")
        return 1
    print(described(case), f"{made.kind} {made.why}", sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
