"""What of a build is no longer as it was written: stamps, manifest, provenance and bill of materials against disk."""

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.facts.artifact import STAMP, alterations, digests, file_sha256, recorded_key, sha256, to_json
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import file_size, is_file
from pipeline.facts.records import from_json
from pipeline.facts.text import visible
from pipeline.judging.report.mlbom import serial_number
from pipeline.judging.report.page import Manifest
from pipeline.judging.report.provenance import PROVENANCE, STATEMENT, TEST_RESULT, inputs, subjects
from pipeline.judging.verdict import Verdict
from stages import STAGES
from stages.app.products import PICTURE
from stages.app.publish import published_alterations

ATTESTATIONS = "attestations"
"""The folder of a product's signatures, beside the results of stages: those are a function of their inputs alone, and a
signature depends on a key, and often on chance."""
DOCUMENTS = ("provenance.json", "test-result.json", "mlbom.cdx.json")
"""What a report says of itself for others, which `chipfit sign` signs."""
MAX_ENVELOPE = 1 << 26
_LOCK = ".lock"
_REPORT = "report"


def envelope_path(folder: Path, name: str) -> Path:
    """Where the envelope of a report's document lies: attestations/provenance.dsse.json."""
    return folder / ATTESTATIONS / f"{name.removesuffix('.json')}.dsse.json"


def built_products(build: Path) -> list[Path]:
    """The folders of products in a build folder, which may be that of one product itself. Raises ChipfitError."""
    if is_product(build):
        return [build]
    found = sorted(p for p in build.iterdir() if is_product(p)) if build.is_dir() else []
    if not found:
        raise ChipfitError("no product was built here", place=str(build), hint="Run chipfit build first.")
    return found


def is_product(folder: Path) -> bool:
    """Whether the folder has results of any stage."""
    return folder.is_dir() and any((folder / s.NAME).is_dir() for s in STAGES)


def beside_differences(build: Path) -> list[str]:
    """Everything beside the products in a build folder that is not as the build wrote it, as `path: clause`.

    The picture of `chipfit graph` tells of the moment when it was drawn: it may be any file.
    """
    products = {p.name for p in build.iterdir() if is_product(p) or _is_begun(p)}
    pictures = {PICTURE} if (build / PICTURE).is_file() and not (build / PICTURE).is_symlink() else set()
    return published_alterations(build, products | pictures)


def _is_begun(folder: Path) -> bool:
    """Whether the folder is one of a product whose first stage failed."""
    return folder.is_dir() and not folder.is_symlink() and {p.name for p in folder.iterdir()} <= {".lock"}


def named_products(folders: Sequence[Path], names: Collection[str]) -> list[Path]:
    """The folders of the named products, all where none is named. Raises ChipfitError for one that is not there."""
    if missing := sorted({*names} - {f.name for f in folders}):
        where = str(folders[0].parent)
        raise ChipfitError(f"{missing[0]!r} was not built here", place=where, hint="Run chipfit build first.")
    return [f for f in folders if not names or f.name in names]


def differences(folder: Path) -> list[str]:
    """Everything in a product's build folder that is not as the build wrote it, as `path: clause`."""
    order = [s.NAME for s in STAGES]
    present = [n for n in order if (folder / n).is_dir()]
    found = [".: is a link, and what lies behind it is not in the build folder"] if folder.is_symlink() else []
    found += [f"{n}: is a link now" for n in present if (folder / n).is_symlink()]
    found += [f"{visible(p)}: was not written by the build" for p in _strangers(folder, {*order})]
    sound = {n for n in present if recorded_key(folder / n) is not None}
    for stage in present:
        altered = [f"{stage}/{a}" for a in alterations(folder / stage)]
        found += altered or _key_differences(folder, stage, sound)
    if _REPORT not in present:
        return [*found, f"{_REPORT}: is missing, so that nothing says what the build made"]
    return [*found, *_document_differences(folder, sound)]


def _strangers(folder: Path, stages: Set[str]) -> list[str]:
    """Names, relative to the folder, of what neither a stage nor `chipfit sign` wrote."""
    signed = folder / ATTESTATIONS
    has_signed = signed.is_dir() and not signed.is_symlink()
    envelopes = {envelope_path(folder, n) for n in DOCUMENTS}

    def is_own(path: Path) -> bool:
        if path == signed:
            return has_signed
        return is_file(path) if path.name == _LOCK else path.name in stages and path.is_dir()

    found = [p for p in folder.iterdir() if not is_own(p)]
    found += [p for p in (signed.iterdir() if has_signed else ()) if p not in envelopes or p.is_symlink()]
    return sorted(p.relative_to(folder).as_posix() for p in found)


def _key_differences(folder: Path, stage: str, sound: Collection[str]) -> Iterator[str]:
    """Whether the results are of the stage that the folder is named for, and made from the earlier results here.

    `sound` are the stages whose stamps say what they wrote: of others there is nothing to compare.
    """
    try:
        key = recorded_key(folder / stage)
        before = dict(key["before"])
        if key["stage"] != stage:
            yield f"{stage}/{STAMP}: is that of stage {visible(str(key['stage']))}"
    except (KeyError, TypeError, ValueError):
        yield f"{stage}/{STAMP}: says nothing of what the results were made from"
        return
    for name, digest in before.items():
        of, _, file = str(name).partition("/")
        if of in sound and digests(folder / of).get(file) != digest:
            yield f"{stage}/{STAMP}: the results were made from another {visible(str(name))}"


def _document_differences(folder: Path, sound: Collection[str]) -> Iterator[str]:
    report = folder / _REPORT
    try:
        manifest = from_json(Manifest, (report / "manifest.json").read_bytes(), "manifest.json")
    except (OSError, ChipfitError):
        yield f"{_REPORT}/manifest.json: is no manifest"
        return
    yield from _manifest_differences(folder, manifest, sound)
    on_disk = _on_disk(folder)
    library = subjects(replace(manifest, outputs=on_disk))
    checks: Mapping[str, Any] = {
        "provenance.json": lambda d: _provenance_differences(d, manifest),
        "test-result.json": lambda d: _result_differences(d, report),
        "mlbom.cdx.json": lambda d: _bill_differences(d, on_disk, library, manifest),
    }
    for name, check in checks.items():
        try:
            document = json.loads((report / name).read_bytes())
            found = list(check(document))
            if name != "mlbom.cdx.json":
                found += _subject_differences(document, library)
        except OSError:
            found = ["is missing"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            found = ["has not the form that a build writes"]
        yield from (f"{_REPORT}/{name}: {clause}" for clause in found)


def envelope_differences(folder: Path) -> Iterator[str]:
    """What was signed and is not what the report says now, as `path: clause`; whose a signature is only a key tells."""
    for name in DOCUMENTS:
        path = envelope_path(folder, name)
        if not is_file(path) or file_size(path) > MAX_ENVELOPE:
            continue
        try:
            signed = base64.b64decode(json.loads(path.read_bytes())["payload"], validate=True)
            same = signed == (folder / _REPORT / name).read_bytes()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            same = False
        if not same:
            yield f"{ATTESTATIONS}/{path.name}: holds another {name} than the report"


def _manifest_differences(folder: Path, manifest: Manifest, sound: Collection[str]) -> Iterator[str]:
    gone = {s for s in manifest.outputs if not (folder / s).is_dir()}
    for stage in sorted(({*sound} | gone) - {_REPORT}):
        told, stamped = manifest.outputs.get(stage, {}), digests(folder / stage)
        for name in sorted({*told, *stamped}):
            if told.get(name) != stamped.get(name):
                yield f"{_REPORT}/manifest.json: is of another {visible(f'{stage}/{name}')}"


def _on_disk(folder: Path) -> dict[str, dict[str, str]]:
    """sha256 of every file of every stage as it is on disk, by stage and name."""
    found = {}
    for stage in (s.NAME for s in STAGES):
        files = [p for p in (folder / stage).rglob("*") if p.is_file() and p.name != STAMP]
        found[stage] = {p.relative_to(folder / stage).as_posix(): file_sha256(p) for p in files}
    return found


def _subject_differences(document: Any, library: Mapping[str, str]) -> Iterator[str]:
    told = {s["name"]: s["digest"]["sha256"] for s in document["subject"]}
    if document["_type"] != STATEMENT or len(told) != len(document["subject"]):
        yield "is no statement of in-toto with subjects of different names"
    for name in sorted({*told, *library}):
        if name not in told:
            yield f"says nothing of {visible(name)}"
        elif told[name] != library.get(name):
            yield f"is of another {visible(name)}"


def _provenance_differences(document: Any, manifest: Manifest) -> Iterator[str]:
    if document["predicateType"] != PROVENANCE:
        yield "is no provenance of SLSA"
    definition = document["predicate"]["buildDefinition"]
    facts = sha256(to_json(definition["externalParameters"]["chip"]))
    wanted = {**inputs(manifest), "chip": facts}
    told = {d["name"]: d["digest"]["sha256"] for d in definition["resolvedDependencies"] if "digest" in d}
    yield from _unlike(told, {visible(n): d for n, d in wanted.items()})


def _result_differences(document: Any, report: Path) -> Iterator[str]:
    if document["predicateType"] != TEST_RESULT:
        yield "is no test result of in-toto"
    predicate = document["predicate"]
    provenance = json.loads((report / "provenance.json").read_bytes())
    parameters = provenance["predicate"]["buildDefinition"]["externalParameters"]
    told = {c["name"]: c["digest"]["sha256"] for c in predicate["configuration"]}
    if told["externalParameters"] != sha256(to_json(parameters)):
        yield "is of other parameters than provenance.json"
    try:
        verdict = from_json(Verdict, (report / "verdict.json").read_bytes(), "verdict.json")
    except (OSError, ChipfitError):
        yield "has no verdict.json beside it"
        return
    rules = {passed: [f.key for f in verdict.findings if f.passed == passed] for passed in (True, False)}
    if (predicate["result"] == "PASSED", predicate["passedTests"], predicate["failedTests"]) != (
        verdict.passed, rules[True], rules[False]
    ):  # fmt: skip
        yield "is not the verdict of verdict.json"


def _bill_differences(
    document: Any, on_disk: Mapping[str, Mapping[str, str]], library: Collection[str], manifest: Manifest
) -> Iterator[str]:
    if document["serialNumber"] != serial_number(document):
        yield "has the serial number of another bill"
    files: dict[str, str] = {}
    materials: dict[str, str] = {}
    _collect(document["metadata"]["component"], files, materials)
    for component in document["components"]:
        _collect(component, files, materials)
    for name, digest in sorted(files.items()):
        stage, _, file = name.partition("/")
        if on_disk.get(stage, {}).get(file) != digest:
            yield f"is of another {visible(name)}"
    yield from (f"says nothing of {visible(n)}" for n in sorted({*library} - {*files}))
    yield from _unlike(materials, {visible(n): d for n, d in inputs(manifest).items() if n != "lock"})


def _collect(component: Any, files: dict[str, str], materials: dict[str, str]) -> None:
    """Hashes of a component and of those inside it: of files by name, of the build's inputs by role."""
    if "hashes" in component:
        reference = component["bom-ref"]
        of, name = (
            (materials, reference.removeprefix("input:"))
            if reference.startswith("input:")
            else (files, component["name"])
        )
        of[name] = component["hashes"][0]["content"]
    for part in component.get("components", ()):
        _collect(part, files, materials)


def _unlike(told: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*told, *wanted}):
        if told.get(name) != wanted.get(name):
            yield f"does not agree with manifest.json about the input {visible(name)}"
