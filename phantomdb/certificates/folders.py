"""Where certificates are kept.

```text
DIR/ca.crt, ca.key                    the authority: keep its key off the nodes
DIR/nodes/NAME/node.crt, node.key     all that a node needs, with ca.crt: `phantomdb start --certs`
DIR/clients/ROLE/client.crt, client.key, ca.crt
```

Keys are their owner's alone (0600), and so are folders that are made. Nothing is overwritten: a key
that is lost cannot be had again.
"""

import os
from pathlib import Path

from phantomdb.base.errors import Refused, UsageError
from phantomdb.certificates.signing import Signed

AUTHORITY_CERTIFICATE, AUTHORITY_KEY = "ca.crt", "ca.key"


def write_authority(folder: Path, signed: Signed) -> None:
    """Write an authority's files; raises `Refused` if there is one, or they cannot be written."""
    _write(folder, {AUTHORITY_KEY: signed.key, AUTHORITY_CERTIFICATE: signed.certificate})


def read_authority(folder: Path) -> Signed:
    """Read an authority's files; raises `Refused` if there is none."""
    return Signed(_read(folder / AUTHORITY_CERTIFICATE), _read(folder / AUTHORITY_KEY))


def write_node(folder: Path, signed: Signed, authority: bytes) -> None:
    """Write a node's files; raises as `write_authority` does."""
    files = {"node.key": signed.key, "node.crt": signed.certificate}
    _write(folder, files | {AUTHORITY_CERTIFICATE: authority})


def write_client(folder: Path, signed: Signed, authority: bytes) -> None:
    """Write a client's files; raises as `write_authority` does."""
    files = {"client.key": signed.key, "client.crt": signed.certificate}
    _write(folder, files | {AUTHORITY_CERTIFICATE: authority})


def folder_of(directory: Path, kind: str, name: str) -> Path:
    """Return where the files of a node or a client are kept; raises `UsageError` if nowhere."""
    if "/" in name or name in (".", ".."):
        raise UsageError(f"{name!r} is no name of a folder", hint="Say --into where it goes.")
    return directory / kind / name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(
            f"{path} cannot be read: {error.strerror}",
            hint="`phantomdb cert authority` makes an authority; --certs says where it is.",
        ) from error


def _write(folder: Path, files: dict[str, bytes]) -> None:
    there = [folder / name for name in files if os.path.lexists(folder / name)]
    if there:
        raise Refused(
            f"{there[0]} is there already",
            hint="Nothing is overwritten: move it away, or choose another folder.",
        )
    try:
        for made in [*reversed(folder.parents), folder]:
            made.mkdir(mode=0o700, exist_ok=True)
        for name, content in files.items():
            _write_new(folder / name, content)
    except OSError as error:
        raise Refused(f"{folder} cannot be written to: {error.strerror}") from error


def _write_new(path: Path, content: bytes) -> None:
    mode = 0o600 if path.suffix == ".key" else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # Whatever the umask is.
        file.write(content)
        file.flush()
        os.fsync(descriptor)
