"""A peer that is none: what a program that knows the protocol between nodes can say at a peer door.

with Peer(node.peer) as peer:
    form = peer.ask(Probe(b"", b"", 1, 1))
"""

import socket
import struct
from dataclasses import dataclass
from typing import Self

from phantomdb.base.world import Address
from phantomdb.cluster.formation import cluster_of
from phantomdb.wire import messages
from phantomdb.wire.messages import Form, Hello, Message, Probe

#: How long an answer may take.
ANSWER_S = 45.0


class Peer:
    """One connection to a peer door."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection((address.host, address.port), timeout=ANSWER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, message: Message) -> None:
        """Send a message with its length."""
        body = messages.encode(message)
        self.socket.sendall(struct.pack("!I", len(body)) + body)

    def hear(self) -> Message | None:
        """Return the next message; `None` if the node has closed."""
        head = self._exactly(4)
        return messages.decode(self._exactly(int.from_bytes(head))) if head else None

    def ask(self, message: Message) -> Message | None:
        """Send a message and return its answer."""
        self.say(message)
        return self.hear()

    def rest(self) -> bytes:
        """Return what comes until the node closes."""
        received = b""
        try:
            while data := self.socket.recv(1 << 16):
                received += data
        except ConnectionResetError:
            pass
        return received

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionResetError:
                return b""
            if not more:
                return b""
            data += more
        return data


@dataclass(frozen=True, slots=True)
class Founding:
    """What the door of any member tells of its cluster."""

    form: Form

    @classmethod
    def of(cls, address: Address) -> Self:
        """Ask a member."""
        with Peer(address) as peer:
            form = peer.ask(Probe(b"", b"", messages.PROTOCOL_MIN, messages.PROTOCOL_MAX))
        assert isinstance(form, Form), f"{form} is no founding"
        return cls(form)

    @property
    def cluster(self) -> bytes:
        """The cluster's id as handshakes have it."""
        return cluster_of(self.form).to_bytes(8, "big")

    def hello(self, node: int, incarnation: int, *, hlc: int, link: bytes, stream: int) -> Hello:
        """Return the handshake of a member."""
        low, high = messages.PROTOCOL_MIN, messages.PROTOCOL_MAX
        life = b"none"
        return Hello(low, high, "none", self.cluster, node, incarnation, link, stream, hlc, life)


def frame(header: bytes, sections: bytes) -> bytes:
    """Return a frame whose checksum holds; `header` is all before its length."""
    told = header + struct.pack("<I", len(sections))
    return told + struct.pack("<I", crc32c(told + sections)) + sections


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
