"""provenance.json and test-result.json: what a library was made of and how, and its verdict, as in-toto statements.

Sources: in-toto Statement v1, SLSA build provenance v1, in-toto test-result v0.1. docs/provenance.md says what each
value means, and which level of SLSA they may support.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pipeline.facts.artifact import MISSING, sha256, to_json
from pipeline.facts.config.lock import SUFFIX
from pipeline.facts.config.models import ChipSpec, ProjectConfig
from pipeline.facts.text import shortened, visible
from pipeline.judging.report.page import Manifest
from pipeline.judging.verdict import Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BUILD_TYPE = "pkg:generic/chipfit#build/v1"
BUILDER = "pkg:generic/chipfit#local"
"""Says that chipfit ran, and nothing of the machine: a local build knows no identity that anybody could check."""
LIBRARY = ("codegen", "size-check")
"""The stages of which files are what a product's firmware links, or what was measured in its place."""
_MEASURED = ("library.elf",)


@dataclass(frozen=True)
class Built:
    """Everything that statements about a built product say.

    `arithmetic`: names of docs/arithmetic.md. `tools`: packages and programs, by name: "version sha256:digest".
    """

    config: ProjectConfig
    chip: ChipSpec
    manifest: Manifest
    verdict: Verdict
    arithmetic: tuple[str, ...]
    tools: Mapping[str, str]


def provenance(built: Built) -> dict[str, Any]:
    """The statement of what the library was made of and how: SLSA build provenance v1, without times."""
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _parameters(built),
            "internalParameters": {"arithmetic": list(built.arithmetic)},
            "resolvedDependencies": [*_materials(built), *(_tool(t) for t in tools(built))],
        },
        "runDetails": {"builder": {"id": BUILDER, "version": {"chipfit": built.manifest.chipfit}}},
    }
    return _statement(built.manifest, PROVENANCE, predicate)


def test_result(built: Built) -> dict[str, Any]:
    """The statement of the verdict: each rule as a test of the library."""
    rules: dict[bool, list[str]] = {True: [], False: []}
    for finding in built.verdict.findings:
        rules[finding.passed].append(finding.key)
    predicate = {
        "result": "PASSED" if built.verdict.passed else "FAILED",
        "configuration": [
            {"name": "externalParameters", "digest": {"sha256": sha256(to_json(_parameters(built)))}},
            *_materials(built),
        ],
        "passedTests": rules[True],
        "failedTests": rules[False],
    }
    return _statement(built.manifest, TEST_RESULT, predicate)


def subjects(manifest: Manifest) -> dict[str, str]:
    """sha256 of every file of the library, and of the program that was measured, by `stage/file`."""
    return {
        f"{stage}/{name}": digest
        for stage in LIBRARY
        for name, digest in sorted(manifest.outputs.get(stage, {}).items())
        if stage == LIBRARY[0] or name in _MEASURED
    }


def inputs(manifest: Manifest) -> dict[str, str]:
    """sha256 of the user's files that were there, by role: a build from a lock needs no calibration data."""
    return {role: digest for role, digest in manifest.inputs.items() if digest != MISSING}


def package_url(name: str, version: str, kind: str = "pypi") -> str:
    """The package URL of a tool: `pkg:pypi/numpy@2.4.6`."""
    return f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}"


@dataclass(frozen=True)
class Tool:
    """A package or program that a result depends on; `files`: one digest of all files that are installed of it."""

    name: str
    version: str
    url: str
    files: str | None


def tools(built: Built) -> tuple[Tool, ...]:
    """Everything that ran, in order of name."""
    compiler = built.manifest.toolchain.partition(" ")[0]
    found = []
    for key, text in sorted(built.tools.items()):
        words = text.split(" ")
        files = words.pop().removeprefix("sha256:") if words[-1].startswith("sha256:") else None
        name = words.pop(0) if key == "python" else key  # cpython 3.11.7
        generic = key in ("chipfit", "python") or (key == compiler and key != "ziglang")
        url = package_url(name, words[0], "generic" if generic else "pypi")
        found.append(Tool(name, " ".join(words), url, files))
    return tuple(found)


def file_name(built: Built, role: str) -> str:
    """The base name of the file that an input of the manifest is, as far as it may be shown."""
    data = built.config.data
    named = {"model": built.config.model.source, "lock": f"{built.config.product}{SUFFIX}"}
    named |= {r: s.file for r, s in (("calibration", data.calibration), ("evaluation", data.evaluation)) if s}
    written = named.get(role, role.partition(": ")[2])
    return shortened(visible(PurePosixPath(written.replace("\\", "/")).name))


def _statement(manifest: Manifest, kind: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects(manifest).items()]
    return {"_type": STATEMENT, "subject": files, "predicateType": kind, "predicate": predicate}


def _parameters(built: Built) -> dict[str, Any]:
    """The product's YAML with everything that it extends and every default, and the facts of its chip."""
    config: dict[str, Any] = built.config.model_dump(mode="json", exclude={"chip"})
    return {**config, "chip": built.chip.model_dump(mode="json")}


def _materials(built: Built) -> list[dict[str, Any]]:
    files = [
        {
            "name": visible(shortened(role)),
            "digest": {"sha256": digest},
            "annotations": {"file": file_name(built, role)},
        }
        for role, digest in inputs(built.manifest).items()
    ]
    facts = sha256(to_json(built.chip.model_dump(mode="json")))
    return [*files, {"name": "chip", "digest": {"sha256": facts}, "annotations": {"chip": built.chip.chip}}]


def _tool(tool: Tool) -> dict[str, Any]:
    installed = {} if tool.files is None else {"annotations": {"installedFilesSha256": tool.files}}
    return {"name": tool.name, "uri": tool.url, **installed}
