"""Clients that leave, stall, flood or lie: the right answer or a clear error; the node serves on.

What a client may do by the rules of TCP and of the protocol, and few do: it resets, closes one
half, reads a byte at a time or not at all. Where PostgreSQL 15 has an answer, it is the same.
"""

import socket
import struct

import pytest
from kit.frontend import Frontend

from phantomdb.base.world import Address
from phantomdb.demo.processes import NodeProcess


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN, as the kernel does for a program that crashed unread."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def serves(node: NodeProcess) -> bool:
    """Whether a new session is answered."""
    with Frontend.connect(node.pg.port) as frontend:
        return frontend.query("SELECT 1").values() == [("1",)]


# Connections that end before, or without, a word.


@pytest.mark.parametrize("door", ["pg", "peer", "admin"])
def test_connections_reset_in_the_backlog_are_passed_over(node: NodeProcess, door: str) -> None:
    address: Address = getattr(node, door)
    node.pause()
    try:
        # The kernel takes them; the node will accept what is no longer connected.
        for _ in range(20):
            reset(socket.create_connection((address.host, address.port), timeout=10))
    finally:
        node.resume()
    socket.create_connection((address.host, address.port), timeout=10).close()
    assert serves(node)
