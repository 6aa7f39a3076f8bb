"""What failed: a missed rule apart from a fault, and lines that several variants have in common said once."""

from collections.abc import Mapping, Sequence

from doit.exceptions import TaskFailed

from pipeline.facts.config import shown_names


class RulesMissed(TaskFailed):  # type: ignore[misc]
    """The failure of a report that was made, and whose verdict is that rules are missed."""


def grouped(failures: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines of failed tasks `stage:product`, each once.

    Lines that differ in nothing but the product that they begin with, after their place, are one.
    """
    products: dict[str, list[str]] = {}
    for task, lines in failures.items():
        product = task.partition(":")[2]
        for line in lines:
            place, label, message = line.partition(f": {product}: ")
            bare = f"{place}\0{message}" if label else line
            named = products.setdefault(bare, [])
            if label and product not in named:
                named.append(product)
    return [b.replace("\0", f": {shown_names(names)}: ", 1) if names else b for b, names in products.items()]
