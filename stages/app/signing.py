"""Signatures of what a build says of itself: DSSE envelopes beside the results, made and checked with a local key.

Source: DSSE 1.0 (secure-systems-lab/dsse), as securesystemslib implements it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.artifact import to_json
from pipeline.facts.drafts import remove_draft, replace_file
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, file_size, is_file
from stages.app.verification import DOCUMENTS, MAX_ENVELOPE, envelope_path

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

_STATEMENT, _BILL = "application/vnd.in-toto+json", "application/vnd.cyclonedx+json"
SIGNED = dict(zip(DOCUMENTS, (_STATEMENT, _STATEMENT, _BILL), strict=True))
"""Files of the report that are signed, and the type of each as a payload."""
_MAX_KEY = 1 << 16
_KINDS = "an Ed25519 or ECDSA key"


def sign_report(folder: Path, key: Path) -> list[Path]:
    """Write an envelope for each document of a product's report; those that were there are replaced."""
    signer = _signer(key)
    from securesystemslib.dsse import Envelope

    written = []
    for name, kind in SIGNED.items():
        envelope = Envelope((folder / "report" / name).read_bytes(), kind, {})
        envelope.sign(signer)
        written.append(envelope_path(folder, name))
        _write(written[-1], to_json(envelope.to_dict()))
    return written


def remove_drafts(folder: Path) -> None:
    """Remove what a killed run left of a product's envelopes. Raises ChipfitError."""
    for name in SIGNED:
        path = envelope_path(folder, name)
        try:
            remove_draft(path)
        except OSError as error:
            raise ChipfitError(f"cannot write {path}: {error.strerror or error}") from error


def signature_differences(folder: Path, key: Path) -> list[str]:
    """Documents that this public key did not sign as they are, as `path: clause`."""
    public = _public_key(key)
    found = []
    for name, kind in SIGNED.items():
        path = envelope_path(folder, name)
        clause = _wrong(path, folder / "report" / name, kind, public)
        if clause:
            found.append(f"{path.relative_to(folder).as_posix()}: {clause}")
    return found


def _wrong(path: Path, document: Path, kind: str, public: "SSlibKey") -> str | None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    if not is_file(path):
        return absence_reason(path)
    if file_size(path) > MAX_ENVELOPE:
        return "is too large for an envelope"
    try:
        envelope = Envelope.from_dict(json.loads(path.read_bytes()))
        if envelope.payload_type != kind or envelope.payload != document.read_bytes():
            return f"holds another {document.name} than the report"
        envelope.verify([public], 1)
    except OSError:
        return f"has no {document.name} beside it"
    except (Error, ValueError):
        # ValueError is what damaged JSON and base64 raise; a signature by another key is an Error.
        return "is not signed with this key"
    except (KeyError, TypeError, AttributeError, RecursionError):
        return "is no envelope of DSSE"
    return None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        raise ChipfitError(f"cannot write {path}: {error.strerror or error}") from error


def _signer(path: Path) -> "CryptoSigner":
    data = _read_key(path)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner
    except ImportError as error:
        raise _not_installed() from error
    try:
        private: Any = load_pem_private_key(data, None)
        signer = CryptoSigner(private)
    except TypeError as error:
        raise ChipfitError("the key is encrypted", place=str(path), hint="Give one without a password.") from error
    except Exception as error:  # cryptography has several of its own for what is no key, or one of another kind
        raise ChipfitError(f"this is no private key in PEM, of {_KINDS}", place=str(path)) from error
    _check_kind(signer.public_key, path)
    return signer


def _public_key(path: Path) -> "SSlibKey":
    data = _read_key(path)
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey
    except ImportError as error:
        raise _not_installed() from error
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(data))
    except Exception as error:
        raise ChipfitError(f"this is no public key in PEM, of {_KINDS}", place=str(path)) from error
    _check_kind(key, path)
    return key


def _check_kind(key: "SSlibKey", path: Path) -> None:
    if key.keytype not in ("ed25519", "ecdsa"):
        raise ChipfitError(f"this is no {_KINDS.removeprefix('an ')}", place=str(path))


def _read_key(path: Path) -> bytes:
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=str(path))
    if file_size(path) > _MAX_KEY:
        raise ChipfitError("this is too large for a key", place=str(path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChipfitError(f"cannot be read: {error.strerror or error}", place=str(path)) from error


def _not_installed() -> ChipfitError:
    return ChipfitError("signatures need securesystemslib", hint="Run pip install 'chipfit[sign]'.")
