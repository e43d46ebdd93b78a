"""Each event reaches whom it concerns; turns of leaderships are lines of the log."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from phantomdb.core import events
from phantomdb.core.session_events import CancelWanted
from phantomdb.node.events import DoorEvents, Events


class Told:
    """Who was told what."""

    def __init__(self) -> None:
        self.did: list[tuple[str, object]] = []

    def who(self, name: str, *verbs: str) -> Any:
        """Return somebody who can be told by these verbs."""

        def tell(what: object) -> None:
            self.did.append((name, what))

        return SimpleNamespace(**dict.fromkeys(verbs, tell))


@pytest.fixture
def told() -> Told:
    return Told()


def doors(told: Told, clients_gone: trio.Event | None = None) -> DoorEvents:
    stopping: Any = SimpleNamespace(clients_gone=clients_gone)
    return DoorEvents(told.who("doors", "tell"), told.who("greetings", "heard"), stopping)


def test_each_event_reaches_whom_it_concerns(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    who = told.who
    all_of_them = Events(
        doors(told),
        who("links", "came", "went"),
        who("decisions", "wanted", "gone"),
        who("elections", "due"),
        who("control", "received"),
        disks=who("disks", "changed"),
        disk_log=who("disk log", "changed"),
    )
    disk = events.DiskChanged("none", 1, 20, 5)
    wants = events.SessionWants(3, CancelWanted(1, 2))
    first = events.FirstHeard(7, "1.2.3.4:5", None, b"m")
    concerned = [
        ("control", events.ControlReceived(2, b"m")),
        ("links", events.LinkUp(2, b"n")),
        ("links", events.LinkDown(2, b"n", "why")),
        ("decisions", wants),
        ("decisions", events.SessionGone(3)),
        ("greetings", first),
        ("doors", events.DoorFull(1)),
        ("doors", events.AcceptFailed(1, "why")),
    ]
    for _, event in concerned:
        all_of_them.take(event)
    assert told.did == concerned
    told.did.clear()
    for event in (
        events.ElectionDue((1, 2)),
        disk,
        events.BecameLeader(1, 5),
        events.LostLeadership(2, 5, "Asked"),
        events.MemberTooFarBehind(2, 3, 9),
        events.ClockChanged("forward", 1_000),
    ):
        all_of_them.take(event)
    assert told.did == [("elections", (1, 2)), ("disks", disk), ("disk log", disk)]
    assert [record.getMessage() for record in caplog.records] == [
        "became_leader [1, 5]",
        "lost_leadership [2, 5, 'Asked']",
        "member_too_far_behind [2, 3, 9]",
        "the clock went 1.0 s forward, to the other nodes' time",
    ]
    assert {record.name for record in caplog.records[:3]} == {"phantomdb.node.events"}


async def test_that_the_last_client_has_gone_is_known(told: Told) -> None:
    gone = trio.Event()
    doors(told, gone).take(events.ClientsGone())
    assert gone.is_set()


def test_before_there_is_a_core_it_tells_nothing(told: Told) -> None:
    with pytest.raises(AssertionError, match="before there is a core"):
        doors(told).take(events.BecameLeader(1, 5))
