"""Worst-case stack from machine code: the deepest path through the call graph.

Neutral to compilers and languages: assembly is analysed like C. Anything that cannot be bounded (recursion, a call
through a register, a stack pointer that is computed) is an answer of its own, never a guess.
"""

from dataclasses import dataclass

from pipeline.measuring.families import FAMILIES
from pipeline.measuring.machine_code.decoded import DecodedImage
from pipeline.measuring.machine_code.family import UnboundedError


@dataclass(frozen=True)
class StackUse:
    """`worst` bytes below the caller's stack pointer, along `call_path`; or None and the reason in `unknown`.

    Interrupts, and what the caller itself has on the stack, are not in it.
    """

    worst: int | None
    call_path: tuple[str, ...]
    unknown: str = ""


def worst_case(image: DecodedImage, entry: int) -> StackUse:
    """Stack that a call of the function at `entry` can need, everything it pushes and calls included."""
    known: dict[int, tuple[int, tuple[str, ...]]] = {}

    def name(address: int) -> str:
        found = image.function_at(address)
        return found.name if found is not None else hex(address)

    def deepest(address: int, path: tuple[int, ...]) -> tuple[int, tuple[str, ...]]:
        if address in path:
            circle = [name(a) for a in (*path[path.index(address) :], address)]
            raise UnboundedError(f"{circle[0]} is recursive: {' -> '.join(circle)}")
        if address in known:
            return known[address]
        function = image.function_at(address)
        if function is None:
            raise UnboundedError(f"a call to {address:#x}, which is no function")
        frame = FAMILIES[image.code.name].walk(function, image)
        best: tuple[int, tuple[str, ...]] = (frame.deepest, (function.name,))
        for target, depth in sorted(frame.calls.items()):
            below, call_path = deepest(target, (*path, address))
            if depth + below > best[0] or (depth + below == best[0] and len(best[1]) == 1):
                best = (depth + below, (function.name, *call_path))
        known[address] = best
        return best

    try:
        worst, call_path = deepest(entry, ())
    except UnboundedError as error:
        return StackUse(None, (), str(error))
    return StackUse(worst, call_path)
