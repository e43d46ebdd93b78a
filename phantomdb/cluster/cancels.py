"""Whose statement a cancellation ends: a client may send it to any node.

The pid that a client was given names its session and the session's node, so a request that comes to
another node is sent on to that one. Whether the secret is right is the core's to say, there.
"""

from phantomdb.core import Node
from phantomdb.wire import messages
from phantomdb.wire.messages import CancelSession

#: Bits of a session's pid that name the session; the rest names the node.
PID_SLOT_BITS = 21


class Cancels:
    """Cancellations that come from clients and from other nodes."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def asked(self, pid: int, secret: int) -> None:
        """End a session's statement, here or on the node that its pid names."""
        number = pid >> PID_SLOT_BITS
        if number == self._node.id:
            self._node.cancel_by_key(pid, secret)
        elif number in self._node.members:
            self._node.send_control(number, messages.encode(CancelSession(pid, secret)))

    def heard(self, cancel: CancelSession) -> None:
        """End the statement that another node says a client wants ended."""
        self._node.cancel_by_key(cancel.pid, cancel.secret)
