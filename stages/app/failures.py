"""What failed, in lines: what several variants of a file have in common is said once."""

from collections.abc import Mapping, Sequence

from pipeline.facts.config import shown_names


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
