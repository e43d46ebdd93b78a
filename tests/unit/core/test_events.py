"""What the core tells is read into what Python decides by."""

import cbor2
import pytest

from phantomdb.core import events, session_events
from phantomdb.core.events import decode_event
from phantomdb.core.session_events import ColumnWanted, decode_session_event

WITHDRAWAL = session_events.WithdrawalWanted(4)


@pytest.mark.parametrize(
    ("encoded", "event"),
    [
        (["became_leader", 2, 7], events.BecameLeader(2, 7)),
        (["lost_leadership", 2, 7, "Asked"], events.LostLeadership(2, 7, "Asked")),
        (["member_too_far_behind", 2, 3, 9], events.MemberTooFarBehind(2, 3, 9)),
        (["disk_room", "short", 4, 20, 5], events.DiskChanged("short", 4, 20, 5)),
        (["clock", "waits", 8_000], events.ClockChanged("waits", 8_000)),
    ],
)
def test_each_event_of_the_core_is_read(encoded: list[object], event: events.Event) -> None:
    assert decode_event(("core", cbor2.dumps(encoded))) == event


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (("election_due", [2, 1]), events.ElectionDue((2, 1))),
        (("control", 2, b"m"), events.ControlReceived(2, b"m")),
        (("session", 4, 5, "withdraw", b"\x04"), events.SessionWants(4, WITHDRAWAL)),
        (("session_gone", 4), events.SessionGone(4)),
        (
            ("first", 7, "1.2.3.4:5", "n2", b"m"),
            events.FirstHeard(7, "1.2.3.4:5", "n2", b"m"),
        ),
        (("link_up", 2, b"name"), events.LinkUp(2, b"name")),
        (("link_down", 2, b"name", "why"), events.LinkDown(2, b"name", "why")),
        (("door_full", 1), events.DoorFull(1)),
        (("accept_failed", 1, "why"), events.AcceptFailed(1, "why")),
        (("clients_gone",), events.ClientsGone()),
        (("slow_turn", 60, "reading"), events.SlowTurn(60, "reading")),
        (("ended", 3, b"cbor"), events.Ended(3, b"cbor")),
        (("answer", 3, 7, None, b"m"), events.Answered(3, 7, None, b"m")),
        (("dial_failed", 3, "why"), events.DialFailed(3, "why")),
    ],
)
def test_each_event_of_the_reactor_is_read(
    told: tuple[object, ...], event: events.Event | events.Reply
) -> None:
    assert decode_event(told) == event


def test_an_event_that_the_core_cannot_have_told_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="an event of kind weather"):
        decode_event(("core", cbor2.dumps(["weather", 1])))
    with pytest.raises(AssertionError, match="an event of kind snow"):
        decode_event(("snow", 1))
    with pytest.raises(AssertionError, match="a session wants rain"):
        decode_session_event(1, "rain", b"")


WANTED = [["n", 20, -1, True], ["name", 25, -1, False], ["code", 25, -1, False, "C"]]
CREATE = ["public", "birds", WANTED, [1], "birds_pkey"]
COLUMNS = (
    ColumnWanted("n", 20, -1, not_null=True),
    ColumnWanted("name", 25, -1, not_null=False),
    ColumnWanted("code", 25, -1, not_null=False, collation="C"),
)


@pytest.mark.parametrize(
    ("kind", "body", "event"),
    [
        (
            "create_table",
            [*CREATE, True],
            session_events.TableWanted(
                5, "public", "birds", COLUMNS, (1,), "birds_pkey", if_not_exists=True
            ),
        ),
        (
            "drop_table",
            [[["public", "birds"], ["public", "bees"]], False],
            session_events.DropWanted(
                5, (("public", "birds"), ("public", "bees")), if_exists=False
            ),
        ),
        ("withdraw", 4, session_events.WithdrawalWanted(4)),
        ("cancel", [7, 8], session_events.CancelWanted(7, 8)),
    ],
)
def test_each_event_of_a_session_is_read(
    kind: str, body: object, event: session_events.SessionEvent
) -> None:
    assert decode_session_event(5, kind, cbor2.dumps(body)) == event


def test_a_query_is_left_to_the_planner() -> None:
    assert decode_session_event(5, "plan", b"\x83") == session_events.PlanWanted(5, b"\x83")
