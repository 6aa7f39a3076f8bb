"""CI jobs to copy: valid by the servers' published schemas, and their commands do what they say."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, chipfit_here, need, some
from git import commit_all, git

from stages.app.init import CI_FILES, ci_job

SCHEMAS = {"github": "github-workflows", "gitlab": "gitlab-ci"}


def faults(path: Path, server: str) -> list[str]:
    """What the server's schema finds wrong with the YAML, by the copy of it that check-jsonschema brings."""
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    from jsonschema import Draft7Validator
    from ruamel.yaml import YAML  # of YAML 1.2, in which `on` is a word as any other

    file = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{SCHEMAS[server]}.json"
    validator = Draft7Validator(json.loads(file.read_text("utf-8")))
    return [e.message for e in validator.iter_errors(YAML(typ="safe").load(path))]


@pytest.mark.parametrize("server", CI_FILES)
def test_a_job_is_as_its_server_wants_it(server: str, tmp_path: Path) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed")
    done = chipfit_here(tmp_path, "init", "--ci", server)
    path = tmp_path / CI_FILES[server]
    assert done.returncode == 0 and done.stdout == f"wrote {CI_FILES[server]}\n"
    assert path.read_text("utf-8") == ci_job(server) and faults(path, server) == []
    path.write_text(ci_job(server).replace("    steps:", "    step:").replace("  script:", "  scripts:"), "utf-8")
    assert faults(path, server)
    assert "exists and was left as it is" in chipfit_here(tmp_path, "init", "--ci", server).stdout


def commands(server: str) -> list[str]:
    """The shell commands of a job, but for the installation."""
    document = yaml.safe_load(ci_job(server))
    if server == "gitlab":
        return [str(c) for c in document["chipfit"]["script"]]
    steps = document["jobs"]["products"]["steps"]
    return [s["run"] for s in steps if "run" in s and "pip install" not in s["run"]]


@pytest.mark.parametrize("server", CI_FILES)
def test_the_commands_of_a_job_build_and_leave_what_it_keeps(server: str, workshop: Path, tmp_path: Path) -> None:
    need("sh")
    need("git")
    tool, page = tmp_path / "chipfit", tmp_path / "page.md"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stages.app.cli "$@"\n', "utf-8")
    tool.chmod(0o755)
    environment = {
        **os.environ, "CI": "true", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(page), "CHIPFIT_STORE": "", "CHIPFIT_STORE_MODE": "read-only",
        "CHIPFIT_STORE_FOLDER": str(tmp_path / "store"), "BASE": "main",
    }  # fmt: skip
    base = tmp_path / "base"  # a main branch without any product
    base.mkdir()
    commit_all(base)
    if not (workshop / ".git").exists():
        git(workshop, "init", "--quiet")
        git(workshop, "remote", "add", "origin", f"file://{base}")
    for command in some(commands(server)):
        subprocess.run(["sh", "-ec", command], cwd=workshop, env=environment, capture_output=True, check=True)
    assert (workshop / "build" / "junit.xml").is_file()
    if server == "github":
        said = page.read_text("utf-8")
        assert said.startswith("### chipfit: 4 of 4 products fit")
        assert "### chipfit: FETCH_HEAD (" in said
        assert "**touch**: added: flash " in said


@pytest.mark.parametrize("arguments", [["--ci", "other"], ["--ci"], ["a", "b"], ["--fast"]])
def test_what_init_does_not_know_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "init", *arguments)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())
