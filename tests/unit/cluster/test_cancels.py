"""A cancellation reaches the node that its pid names, and no other."""

from typing import Any, ClassVar

import pytest

from phantomdb.cluster.cancels import PID_SLOT_BITS, Cancels
from phantomdb.wire import messages
from phantomdb.wire.messages import CancelSession


class Core:
    """Node 1 of three; keeps what it was told to cancel and what it sent."""

    id = 1
    members: ClassVar = {n: (f"n{n}", "") for n in (1, 2, 3)}

    def __init__(self) -> None:
        self.did: list[object] = []

    def cancel_by_key(self, pid: int, secret: int) -> None:
        self.did.append((pid, secret))

    def send_control(self, peer: int, message: bytes) -> None:
        self.did.append((peer, messages.decode(message)))


@pytest.mark.parametrize("node", [0, 1, 2, 3, 4])
def test_a_cancellation_goes_to_the_node_that_its_pid_names(node: int) -> None:
    core: Any = Core()
    pid = node << PID_SLOT_BITS | 5
    Cancels(core).asked(pid, 77)
    wanted = {1: [(pid, 77)], 2: [(2, CancelSession(pid, 77))], 3: [(3, CancelSession(pid, 77))]}
    assert core.did == wanted.get(node, [])


def test_a_cancellation_that_another_node_sends_is_tried_here_and_sent_no_further() -> None:
    core: Any = Core()
    pid = 2 << PID_SLOT_BITS | 5
    Cancels(core).heard(CancelSession(pid, 77))
    assert core.did == [(pid, 77)]
