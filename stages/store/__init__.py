"""Content-addressed store of stage results; what it takes is imported when the first result is kept or looked for."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.store.results import Entry, Output, Restored, Source, Store, StoreSettings, open_store

__all__ = ["Entry", "Output", "Restored", "Source", "Store", "StoreSettings", "open_store"]


def __getattr__(name: str) -> object:
    # A build with nothing to do reads the settings alone, which lie beside.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stages.store import results

    return getattr(results, name)
