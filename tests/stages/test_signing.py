"""Signatures: made and checked with a key of each kind; no other key, document or envelope passes."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import chipfit_here

from pipeline.facts.errors import ChipfitError
from stages.app.signing import SIGNED, sign_report, signature_differences
from stages.app.verification import differences, envelope_differences, envelope_path

pytest.importorskip("securesystemslib", reason="securesystemslib is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

KINDS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def keys(folder: Path, private: Any, password: Any = NoEncryption()) -> tuple[Path, Path]:  # noqa: B008
    """Files of a private key and of its public one."""
    pair = folder / "key.pem", folder / "key.pub"
    pair[0].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password))
    pair[1].write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return pair


@pytest.fixture
def touch(products: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(products / "build" / "touch", tmp_path / "build" / "touch"))


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_are_those_of_the_key_and_no_part_of_the_results(touch: Path, tmp_path: Path, kind: str) -> None:
    private, public = keys(tmp_path, KINDS[kind]())
    left_by_a_kill = touch / "attestations" / ".provenance.dsse.json.draft"
    left_by_a_kill.parent.mkdir()
    left_by_a_kill.write_bytes(b"{")
    done = chipfit_here(tmp_path, "sign", "--key", str(private))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, len(SIGNED)), done.stderr
    assert len(list((touch / "attestations").iterdir())) == len(SIGNED)
    assert signature_differences(touch, public) == [] and differences(touch) == []
    done = chipfit_here(tmp_path, "verify", "build", "touch", "--key", str(public))
    assert done.returncode == 0 and "the signatures are those of the key" in done.stdout
    (tmp_path / "other").mkdir()
    _, other = keys(tmp_path / "other", KINDS[kind]())
    assert [line.partition(": ")[2] for line in signature_differences(touch, other)] == [
        "is not signed with this key"
    ] * len(SIGNED)


def test_an_envelope_holds_the_document_in_the_form_of_dsse(touch: Path, tmp_path: Path) -> None:
    private, _ = keys(tmp_path, KINDS["ed25519"]())
    path = sign_report(touch, private)[0]
    assert path == touch / "attestations" / "provenance.dsse.json"
    envelope = json.loads(path.read_bytes())
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert base64.b64decode(envelope["payload"]) == (touch / "report" / "provenance.json").read_bytes()


SPOILED: dict[str, tuple[Any, str]] = {
    "a bit of the signature": (
        lambda e: e | {"signatures": [s | {"sig": base64.b64encode(b"x" * 64).decode()} for s in e["signatures"]]},
        "is not signed with this key",
    ),
    "the payload": (lambda e: e | {"payload": "e30="}, "holds another provenance.json than the report"),
    "the type": (lambda e: e | {"payloadType": "text/plain"}, "holds another provenance.json than the report"),
    "no signature": (lambda e: e | {"signatures": []}, "is not signed with this key"),
    "another form": (lambda e: [e], "is no envelope of DSSE"),
    "half of it": (lambda e: {"payload": e["payload"]}, "is no envelope of DSSE"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_envelope_is_noticed(touch: Path, tmp_path: Path, name: str) -> None:
    private, public = keys(tmp_path, KINDS["ed25519"]())
    sign_report(touch, private)
    path, (spoil, wanted) = envelope_path(touch, "provenance.json"), SPOILED[name]
    path.write_text(json.dumps(spoil(json.loads(path.read_bytes()))), "ascii")
    assert signature_differences(touch, public) == [f"attestations/provenance.dsse.json: {wanted}"]


def test_what_was_signed_before_another_build_is_said_without_a_key(touch: Path, tmp_path: Path) -> None:
    private, _ = keys(tmp_path, KINDS["ed25519"]())
    sign_report(touch, private)
    path = envelope_path(touch, "mlbom.cdx.json")
    for envelope in ({"payload": "e30="}, {"payload": "no base64"}, [7]):
        path.write_text(json.dumps(envelope), "ascii")
        assert list(envelope_differences(touch)) == [
            "attestations/mlbom.cdx.dsse.json: holds another mlbom.cdx.json than the report"
        ]
    done = chipfit_here(tmp_path, "verify")
    assert done.returncode == 1 and "holds another mlbom.cdx.json than the report" in done.stderr
    done = chipfit_here(tmp_path, "sign", "--key", str(private))
    assert done.returncode == 0 and not list(envelope_differences(touch)), "signing again replaces them"


def test_a_build_that_was_changed_is_not_signed(touch: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, KINDS["ed25519"]())
    (touch / "import" / "graph.json").unlink()
    done = chipfit_here(tmp_path, "sign", "--key", str(private))
    assert done.returncode == 1 and "import/graph.json: is missing; it is not signed" in done.stderr
    assert not (touch / "attestations").exists()
    assert len(signature_differences(touch, public)) == len(SIGNED), "they do not exist"


def test_what_is_no_key_is_one_sentence(touch: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, KINDS["ed25519"]())
    with pytest.raises(ChipfitError, match="this is no private key in PEM"):
        sign_report(touch, public)
    with pytest.raises(ChipfitError, match="this is no public key in PEM"):
        signature_differences(touch, private)
    with pytest.raises(ChipfitError, match="does not exist"):
        sign_report(touch, tmp_path / "nowhere")
    keys(tmp_path, KINDS["ed25519"](), BestAvailableEncryption(b"secret"))
    with pytest.raises(ChipfitError, match="the key is encrypted"):
        sign_report(touch, private)
    keys(tmp_path, rsa.generate_private_key(65537, 2048))
    with pytest.raises(ChipfitError, match="this is no Ed25519 or ECDSA key"):
        sign_report(touch, private)
    assert not (touch / "attestations").exists()
