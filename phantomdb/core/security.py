"""What a node asks of connections, and the certificates that they are encrypted with."""

from dataclasses import dataclass

from phantomdb import _core  # noqa: TID251 - this package is its door
from phantomdb.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class Files:
    """Contents of a node's files, as PEM."""

    certificate: bytes
    key: bytes
    authority: bytes


@dataclass(frozen=True, slots=True)
class Certified:
    """What the node's own certificate says: who it is, and when it ends (Unix time)."""

    name: str
    cluster: str
    ends_s: int


class BadCertificates(UsageError):
    """Files that are damaged, do not belong together, or would be refused by other nodes."""


class Security:
    """What is asked of connections."""

    def __init__(self, files: Files | None, *, is_insecure: bool, distrusts_loopback: bool) -> None:
        """Raises `BadCertificates`, in the words of who reads them."""
        read = (files.certificate, files.key, files.authority) if files else None
        try:
            self.core = _core.Security(
                files=read, is_insecure=is_insecure, distrusts_loopback=distrusts_loopback
            )
        except _core.CoreError as error:
            raise BadCertificates(error.args[1]) from error

    @property
    def own(self) -> Certified | None:
        """The node's own certificate, if there is one."""
        own = self.core.own()
        return Certified(*own) if own else None

    @property
    def left_s(self) -> float:
        """How long the node's own certificate is good yet, in seconds; for ever without one."""
        left_s = self.core.left_s()
        return float("inf") if left_s is None else left_s
