"""A node answers questions of formation in every life, as soon as it knows what it is."""

import random
from typing import Any, ClassVar

import pytest
import trio

from phantomdb.base.world import Address
from phantomdb.cluster.formation import Self
from phantomdb.cluster.joining import Joining
from phantomdb.wire import messages
from phantomdb.wire.messages import Form, MalformedMessage, Probe

FORM = Form(b"nonce", b"list", [[1, bytes(16), "n1", "a:2", "a:1", "a:3"]])
PROBE = Probe(b"", b"", 1, 1)
OWN = Self(b"", "n1", Address("a", 2), Address("a", 1), Address("a", 3))


class Core:
    """The core of a directory that was formed in an earlier life."""

    charter: ClassVar = messages.encode(FORM)


async def test_a_directory_that_was_formed_before_is_opened_and_answers_with_its_charter() -> None:
    core: Any = Core()
    nothing: Any = None
    joining = Joining(nothing, random.Random(0), lambda: core, nothing)
    with pytest.raises(MalformedMessage, match="before this node is open"):
        joining.answer(PROBE)
    with trio.fail_after(1):
        assert await joining.join(OWN) is core
    assert joining.answer(PROBE) == FORM
    assert joining.missing == {}
