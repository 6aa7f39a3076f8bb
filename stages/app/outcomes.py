"""What a build says of where the results of its stages came from."""

from collections.abc import Mapping


def origins(counts: Mapping[str, int]) -> str:
    """One line about so many stages of each outcome; "" without any."""
    total = sum(counts.values())
    if not total:
        return ""
    parts = []
    if restored := counts.get("restored", 0) + counts.get("shared", 0):
        shared = f", {counts['shared']} of them from the shared store" if "shared" in counts else ""
        parts.append(f"{restored} restored{shared}")
    said = {"up to date": "up to date", "ran": "ran", "cluster": "ran on the cluster"}
    said |= {"failed": "failed", "not run": "not run"}
    parts += [f"{counts[o]} {words}" for o, words in said.items() if o in counts]
    return f"{total} stage{'s' if total > 1 else ''}: {'; '.join(parts)}\n"
