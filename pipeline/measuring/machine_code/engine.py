"""Unicorn's engine for a core, and its numbers for registers."""

from functools import cache
from importlib import import_module

import unicorn

from pipeline.facts.cores import Core, MachineCode


def new_engine(core: Core) -> unicorn.Uc:
    """An engine that emulates the core's own CPU model, without memory."""
    architecture, modes = core.isa.code.unicorn
    model = _constant(architecture, f"UC_CPU_{architecture}_{core.emulator_model}")
    engine = unicorn.Uc(
        getattr(unicorn, f"UC_ARCH_{architecture}"), sum(getattr(unicorn, f"UC_MODE_{mode}") for mode in modes), model
    )
    assert engine.ctl_get_cpu_model() == model
    return engine


@cache
def register(code: MachineCode, name: str) -> int:
    """Unicorn's number of the register `name`."""
    architecture, _ = code.unicorn
    return _constant(architecture, f"UC_{architecture}_REG_{name.upper()}")


def _constant(architecture: str, name: str) -> int:
    return int(getattr(import_module(f"unicorn.{architecture.lower()}_const"), name))
