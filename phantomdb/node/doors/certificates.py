"""A node's certificates: read at the start, and again whenever their files change.

Files that will not do end the start. Later they change nothing: what was read before stays in use,
and the log says why. Connections that are open keep what they were made with.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

import trio

from phantomdb.base.errors import Refused, UsageError
from phantomdb.base.settings import NodeSettings
from phantomdb.core import Certified, Files, Reactor, Security

logger = logging.getLogger(__name__)

#: How often it is looked whether the files have changed, in seconds.
LOOK_S = 5.0
#: How often a node that is insecure says so, and one whose certificate ends soon, in seconds.
SAY_INSECURE_S = 60.0
SAY_EXPIRY_S = 86_400.0
#: From when on it is said that a certificate ends, in seconds before.
EXPIRY_S = 30 * 86_400


class Certificates:
    """The files of one node, and what was read of them last."""

    def __init__(self, settings: NodeSettings) -> None:
        """Read them; raises `UsageError` if they cannot be read or will not do."""
        self._settings = settings
        #: What was said last of files that will not do.
        self._said = ""
        self._files = self._read()
        self.security = self._made(self._files)
        own = self.own
        if own is not None and own.name != settings.name:
            raise UsageError(
                f"node.crt is the certificate of {own.name}, and this node is {settings.name}",
                hint=f"Start it with --name {own.name}, or give it its own certificate.",
            )

    @property
    def own(self) -> Certified | None:
        """What the node's own certificate says."""
        return self.security.own

    def check_member(self, name: str) -> None:
        """Refuse to run as a member of another name: its peers would refuse its links."""
        own = self.own
        if own is not None and own.name != name:
            raise Refused(
                f"this node was formed as {name}, and node.crt is the certificate of {own.name}",
                hint=f"Make one for {name}.",
            )

    def renew(self, reactor: Reactor) -> None:
        """Read the files again if they have changed, and use them from now on if they will do."""
        try:
            files = self._read()
            if files == self._files:
                return
            self._files = files  # What is wrong with them is said once.
            made = self._made(files)
        except UsageError as error:
            self._say_unread(error.message)
            return
        if made.own is not None and self.own is not None and made.own.name != self.own.name:
            self._say_unread(f"node.crt is the certificate of {made.own.name} now")
            return
        self.security = made
        reactor.secure(made)
        logger.info("certificates are read again: %s", self._shown())

    async def watch(self, reactor: Reactor) -> None:
        """Look after the files for ever, and say what is to be said of them."""
        insecure_at = expiry_at = trio.current_time()
        while True:
            now = trio.current_time()
            if self._settings.is_insecure and now >= insecure_at:
                insecure_at = now + SAY_INSECURE_S
                logger.warning("this node is insecure: whoever reaches it is trusted")
            if self._settings.certs is not None:
                self.renew(reactor)
            if self.security.left_s < EXPIRY_S and now >= expiry_at:
                expiry_at = now + SAY_EXPIRY_S
                logger.warning("the certificate ends soon: %s", self._shown())
            await trio.sleep(LOOK_S)

    def _say_unread(self, why: str) -> None:
        if why != self._said:
            self._said = why
            logger.warning("certificates are kept as they were: %s", why)

    def _read(self) -> Files | None:
        directory = self._settings.certs
        if directory is None:
            return None
        paths = [Path(directory) / name for name in ("node.crt", "node.key", "ca.crt")]
        try:
            return Files(*[path.read_bytes() for path in paths])
        except OSError as error:
            raise UsageError(
                f"{error.filename} cannot be read: {error.strerror}",
                hint="--certs names a folder with node.crt, node.key and ca.crt.",
            ) from error

    def _made(self, files: Files | None) -> Security:
        settings = self._settings
        return Security(
            files,
            is_insecure=settings.is_insecure,
            distrusts_loopback=settings.distrusts_loopback,
        )

    def _shown(self) -> str:
        own = self.own
        assert own is not None, "nothing is shown where there is none"
        end = datetime.fromtimestamp(own.ends_s, UTC)
        return f"node.crt of {own.name} is good until {end:%Y-%m-%d %H:%M} UTC"
