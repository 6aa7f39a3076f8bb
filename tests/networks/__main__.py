"""`python -m networks --count 1000 --seed 7`, or `--replay qdq 123`, from `tests/` with PYTHONPATH=`..`."""

import argparse
import time
from pathlib import Path

from networks import machine
from networks.campaign import STYLES, Further, Tally, attempt, described, drawn, nothing, report, run, shrunk, signature
from networks.case import CASES, load
from networks.outcome import Outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="networks", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="networks of each style")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; each network has the next one")
    parser.add_argument("--style", choices=STYLES, action="append", help="all unless given")
    parser.add_argument("--replay", nargs=2, metavar=("STYLE", "SEED"), help="shrink and show one network; or a FILE -")
    parser.add_argument("--keep", metavar="NAME", help=f"save what --replay shrinks in {CASES.name}/NAME.json")
    parser.add_argument("--host", type=int, default=10, metavar="N", help="one in N goes on to C on this machine")
    parser.add_argument("--chip", type=int, default=100, metavar="N", help="one in N goes on to the emulator; 0: none")
    parser.add_argument("--whole", action="store_true", help="do not shrink what --replay shows")
    given = parser.parse_args()
    if given.replay:
        return replay(given)
    began, tallies = time.monotonic(), {s: Tally() for s in given.style or STYLES}
    for style, tally in tallies.items():
        for seed in range(given.seed, given.seed + given.count):
            run(style, seed, tally, further_of(seed, given.host, given.chip))
    print(report(tallies))
    print(f"{time.monotonic() - began:.0f} s")
    return int(any(t.findings for t in tallies.values()))


def further_of(seed: int, every_host: int, every_chip: int) -> Further:
    """What comes behind integer NumPy for the network of a seed."""

    def host(outcome: Outcome) -> None:
        machine.host(outcome, seed)

    def chip(outcome: Outcome) -> None:
        machine.chip(outcome, seed)

    if every_chip and seed % every_chip == 0:
        return chip
    return host if every_host and seed % every_host == 1 else nothing


def replay(given: argparse.Namespace) -> int:
    style, seed = given.replay
    case = load(Path(style)) if seed == "-" else drawn(style, int(seed))
    further = nothing if seed == "-" else further_of(int(seed), given.host, given.chip)
    outcome = attempt(case, further)
    if isinstance(outcome, BaseException):
        case = case if given.whole else shrunk(case, further)
        outcome = attempt(case, further)
        assert isinstance(outcome, BaseException)
        if given.keep:
            case.save(CASES / f"{given.keep}.json")
        print(described(case), f"{signature(outcome)}: {outcome}", sep="\n")
        return 1
    print(described(case), f"{outcome.kind} {outcome.why}", sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
