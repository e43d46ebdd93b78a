"""Each event of the core reaches whom it concerns; turns of leaderships are lines of the log."""

from types import SimpleNamespace
from typing import Any

import pytest

from phantomdb.core import events
from phantomdb.node.events import Events


def test_each_event_reaches_whom_it_concerns(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    did: list[tuple[str, object]] = []

    def who(name: str, verb: str) -> Any:
        return SimpleNamespace(**{verb: lambda what: did.append((name, what))})

    told = Events(
        who("elections", "due"),
        who("control", "received"),
        who("disks", "changed"),
        who("disk log", "changed"),
    )
    disk = events.DiskChanged("none", 1, 20, 5)
    message = events.ControlReceived(2, b"m")
    for event in (
        events.ElectionDue((1, 2)),
        message,
        disk,
        events.BecameLeader(1, 5),
        events.LostLeadership(2, 5, "Asked"),
        events.MemberTooFarBehind(2, 3, 9),
        events.ClockChanged("forward", 1_000),
    ):
        told.take(event)
    assert did == [
        ("elections", (1, 2)),
        ("control", message),
        ("disks", disk),
        ("disk log", disk),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "became_leader [1, 5]",
        "lost_leadership [2, 5, 'Asked']",
        "member_too_far_behind [2, 3, 9]",
        "the clock went 1.0 s forward, to the other nodes' time",
    ]
    assert {record.name for record in caplog.records[:3]} == {"phantomdb.node.events"}
