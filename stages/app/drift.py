"""What a product's build rests on, as a lock keeps it, and what of it is not as it was locked."""

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.facts.artifact import file_sha256
from pipeline.facts.config import DataSource, Project
from pipeline.facts.config.lock import RELOCK, Basis, DataDigest, Drift, Facts, LockFile, drifts, lock_path, read_lock
from pipeline.facts.errors import ChipfitError, ManyErrors, Place
from pipeline.facts.files import absence_reason, is_file
from pipeline.facts.units import FREQUENCIES, SIZES, TIMES, show_exactly
from stages.export import applies as is_exported
from stages.keys.compilers import gcc
from stages.model_source import model_files
from stages.samples import DEFAULT_ARRAYS, data_files

if TYPE_CHECKING:
    from pipeline.graph.tensor import Array, Port

Role = Literal["calibration", "evaluation"]
Arrays = Mapping[Role, Sequence[str]]
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_UNITS: Mapping[str, Mapping[str, int] | Mapping[str, Fraction]] = {
    **dict.fromkeys(("budget.flash", "budget.ram", "budget.stack", "flash.size", "flash.line", "ram.size"), SIZES),
    "budget.latency": TIMES,
    "clock": FREQUENCIES,
}
"""Units of values, by their dotted keys in a product YAML and in that of a chip."""
_PACKAGES = ("numpy", "onnx", "highspy", "jinja2")
_SUFFIX_PACKAGES = {".tflite": ("tflite", "flatbuffers")}
_EXPORTERS = ("torch", "onnxscript")
_WHEELS = {*_PACKAGES, *_EXPORTERS, *(n for names in _SUFFIX_PACKAGES.values() for n in names), "ziglang"}
_UNLOCKED: dict[str, Any] = {
    "model": True,  # a digest each
    "data": {"calibration": {"file"}, "evaluation": {"file"}},
    "chip": True,  # in a section of its own
    "chips": True,  # where it was found
    "accuracy": True,  # limits: they judge what came out
    "simulate": True,
    "regression": True,
}


def asks_for_lock(option: bool | None, environment: Mapping[str, str] = os.environ) -> bool | None:
    """Whether products are to be built from their locks: True, False, or None for those that have one.

    `option`: what --locked or --no-locked says; then CHIPFIT_LOCKED does, and where CI is true, locks that exist are
    used. Raises ChipfitError for another value than a truth.
    """
    if option is not None:
        return option
    written = environment.get("CHIPFIT_LOCKED", "").strip().lower()
    if written:
        if written not in (*_TRUE, *_FALSE):
            raise ChipfitError(f"CHIPFIT_LOCKED is {written!r}", place="environment", hint="Expected: 1 or 0.")
        return written in _TRUE
    return None if environment.get("CI", "").strip().lower() in _TRUE else False


def with_lock(project: Project, asked: bool | None) -> Project:
    """The product with the lock from which it is to be built, if it is `asked` for (None: where there is one).

    Raises ChipfitError where there is none, and ManyErrors where something is not as it was locked, with the old and
    the new value of each.
    """
    path = lock_path(project.path, project.config.product)
    if asked is False or (asked is None and not is_file(path)):
        return project
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=str(path), hint="chipfit lock writes it.")
    project = replace(project, lock=read_lock(path))
    if found := drift_errors(project):
        raise ManyErrors(found)
    return project


def drift_errors(project: Project) -> list[ChipfitError]:
    """A sentence for everything that is not as it was locked: `key: old value is locked, now it is the new one`."""
    from pipeline.arithmetic.versions import VERSIONS

    file = project.lock
    assert file is not None
    roles = {role: tuple(d.arrays) for role, d in file.lock.data.items()}
    errors = [_error(d, project, file) for d in drifts(file.lock, basis_of(project, roles))]
    errors += [
        ChipfitError(
            f"arithmetic: {name} is locked, this version of chipfit does not compute it",
            place=file.place("arithmetic"),
            hint=f"Build with chipfit {file.lock.chipfit}; or {RELOCK}",
        )
        for name in file.lock.arithmetic
        if name not in VERSIONS
    ]
    return errors


def _error(drift: Drift, project: Project, file: LockFile) -> ChipfitError:
    section, _, rest = drift.key.partition(".")
    before, now = (repr(v) if isinstance(v, str) and " " in v else v for v in (drift.locked, drift.now))
    old = "none is locked" if before is None else f"{before} is locked"
    new = "now there is none" if now is None else f"now it is {now}"
    hint = f"Put it back, or accept it: {RELOCK}"
    if section == "tools" and drift.locked is not None and rest in _WHEELS:
        hint = f"Run pip install {rest}=={drift.locked}; or accept it: {RELOCK}"
    if section == "chipfit":
        hint = f"Run pip install chipfit=={drift.locked}; or accept it: {RELOCK}"
    if section == "data" and drift.now is None:
        hint = "The library's self-test is made from evaluation data (from calibration data where there are none)."
    told = project.told(f"{drift.key.removeprefix('settings.')}: {old}, {new}")
    return ChipfitError(told, place=_place(drift.key, project, file), hint=hint)


def _place(key: str, project: Project, file: LockFile) -> Place:
    """The line of the product YAML that says the value now, else that of the lock."""
    section, _, rest = key.partition(".")
    written = {"settings": rest, "chip": "chip", "model": "model.source", "data": key}.get(section, "")
    while written:
        if written in project.places:
            return project.places[written]
        written = written.rpartition(".")[0]
    return file.place(key)


def basis_of(project: Project, arrays: Arrays) -> Basis:
    """What the product's build rests on now; of its data files the named `arrays`.

    Left out is what cannot be read. Raises ChipfitError for files that are too large to be read.
    """
    source = Path(project.config.model.source)
    files = {n.removeprefix("model: ") if n != "model" else source.name: p for n, p in model_files(project).items()}
    return Basis(
        chipfit=importlib.metadata.version("chipfit"),
        tools=_tools(project),
        model={n: file_sha256(p) for n, p in files.items() if is_file(p)},
        data=_data(project, arrays),
        chip=_plain(project.chip.model_dump(mode="json", exclude={"manual", "notes"}, exclude_none=True)),
        settings=_plain(project.config.model_dump(mode="json", exclude=_UNLOCKED, exclude_none=True)),
    )


def _plain(values: Facts, prefix: str = "") -> Facts:
    """Numbers with their units, as a product YAML has them, and no sections that say nothing."""
    found = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            value = _plain(value, f"{key}.")
        elif key in _UNITS:
            value = show_exactly(Fraction(value), _UNITS[key])
        if value != {}:
            found[name] = value
    return found


def _tools(project: Project) -> dict[str, str]:
    """Versions of what can change a byte of the library or of its machine code, when nothing is calibrated."""
    names = [*_PACKAGES, *_SUFFIX_PACKAGES.get(Path(project.config.model.source).suffix, ())]
    names += _EXPORTERS if is_exported(project) else ()
    compilers = {}
    if project.config.toolchain == "ziglang":
        names.append("ziglang")
    else:
        compilers = {command: version.partition(" ")[0] for command, version in gcc(project.chip.core).items()}
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | compilers


def _data(project: Project, arrays: Arrays) -> dict[Role, DataDigest]:
    from pipeline.model_files.npz import Npz

    known = project.lock.lock.data if project.lock is not None else {}
    found: dict[Role, DataDigest] = {}
    paths = data_files(replace(project, lock=None))  # all that are named, whether they will be read or not
    for role, names in arrays.items():
        path = paths.get(role)
        if path is None or not is_file(path):
            continue
        file = file_sha256(path)
        if role in known and known[role].file == file:  # then its arrays are, too: they need not be unpacked
            found[role] = known[role]
            continue
        read = Npz(path, project.place(f"data.{role}"))
        found[role] = DataDigest(file, {n: _array_sha256(read, n) for n in names if n in read})
    return found


def _array_sha256(arrays: "Mapping[str, Array]", name: str) -> str:
    """sha256 of an array's type, shape and elements, whichever way the file packs them."""
    array = arrays[name]
    little = array.astype(array.dtype.newbyteorder("<"), order="C")
    return sha256(f"{little.dtype.str} {list(little.shape)}\n".encode() + little.tobytes()).hexdigest()


def arrays_read(project: Project, ports: "Sequence[Port]") -> Arrays:
    """The names of the arrays that a network with these input ports reads, for each data file that it reads."""
    from pipeline.model_files.npz import Npz
    from pipeline.quantizing.data import inputs_key

    data = project.config.data
    sources: dict[Role, DataSource | None] = {"calibration": data.calibration, "evaluation": data.evaluation}
    found: dict[Role, Sequence[str]] = {}
    files = data_files(project)
    for role, source in sources.items():
        if source is None or role not in files:
            continue
        read = Npz(project.file(f"data.{role}", source.file), project.place(f"data.{role}"))
        names = [k for p in ports if (k := inputs_key(read, ports, p, source, DEFAULT_ARRAYS[role])) is not None]
        labels = source.labels or "y"
        found[role] = [*names, labels] if role == "evaluation" and labels in read else names
    return found
