from contextlib import suppress
from dataclasses import fields
from typing import Any, cast

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.wire import messages
from phantomdb.wire.messages import (
    CancelSession,
    Candidate,
    Form,
    Formed,
    GroupReport,
    Hello,
    MalformedMessage,
    Message,
    Probe,
    Refusal,
    decode,
    encode,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
MEMBER = st.tuples(U64, st.binary(), *[st.text()] * 4).map(list)
ANY_MESSAGE: st.SearchStrategy[Message] = st.one_of(
    st.builds(Probe, st.binary(), st.binary(), U64, U64),
    st.builds(Candidate, st.binary(), st.binary(), st.binary(), U64, U64, *[st.text()] * 4),
    st.builds(Form, st.binary(), st.binary(), st.lists(MEMBER)),
    st.builds(Formed, st.binary(), st.booleans()),
    st.builds(
        Hello, U64, U64, st.text(), st.binary(), U32, U32, st.binary(), U64, U64, st.binary()
    ),
    st.builds(Refusal, st.text(), st.text()),
    st.builds(CancelSession, U32, U32),
    st.builds(GroupReport, st.lists(st.lists(U64))),
)
#: What CBOR can hold, nested a little.
ANY_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def test_tags_are_the_protocol() -> None:
    tags = {cls.__name__: tag for tag, cls in messages._BY_TAG.items()}
    assert tags == {
        "Probe": 1,
        "Candidate": 2,
        "Form": 3,
        "Formed": 4,
        "Hello": 5,
        "Refusal": 6,
        "CancelSession": 7,
        "GroupReport": 8,
        "DiskReport": 9,
    }


def test_the_bytes_of_a_message_are_what_other_releases_read() -> None:
    assert encode(CancelSession(1, 2)).hex() == "83070102"
    assert encode(Refusal("CLOCK", "x")).hex() == "830665434c4f434b6178"


@given(ANY_MESSAGE)
def test_a_message_round_trips(message: Message) -> None:
    assert decode(encode(message)) == message


@given(ANY_MESSAGE, st.lists(ANY_VALUE, max_size=3))
def test_fields_of_a_newer_node_are_left_out(message: Message, more: list[Any]) -> None:
    known = [getattr(message, f.name) for f in fields(cast("Any", message))]
    assert decode(cbor2.dumps([message.tag, *known, *more])) == message


@given(st.binary())
def test_any_bytes_are_a_message_or_malformed(frame: bytes) -> None:
    with suppress(MalformedMessage):
        decode(frame)


@given(ANY_VALUE)
def test_any_value_is_a_message_or_malformed(value: Any) -> None:
    with suppress(MalformedMessage):
        decode(cbor2.dumps(value))


@given(st.integers(0, 9), st.lists(ANY_VALUE, max_size=10))
def test_any_fields_are_a_message_or_malformed(tag: int, values: list[Any]) -> None:
    try:
        message = decode(cbor2.dumps([tag, *values]))
    except MalformedMessage:
        return
    assert decode(encode(message)) == message


@given(ANY_MESSAGE, st.data())
def test_a_message_that_was_cut_is_malformed(message: Message, data: st.DataObject) -> None:
    frame = encode(message)
    end = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(MalformedMessage):
        decode(frame[:end])


@pytest.mark.parametrize(
    "value",
    [
        [7, 1],
        [7, True, 1],
        [7, 2**32, 1],
        [7, -1, 1],
        [7, 1, "1"],
        [99, 1, 2],
        [8, 1],
        [4, b"", 1],
        [3, b"", b"", [1]],
        [3, b"", b"", [[1, b"", "a", "b", "c"]]],
        [3, b"", b"", [[1, "", "a", "b", "c", "d"]]],
        [1, b"", b"", 2**64, 1],
        [[1], b""],
        7,
        {7: 1},
    ],
)
def test_fields_of_the_wrong_type_are_malformed(value: object) -> None:
    with pytest.raises(MalformedMessage):
        decode(cbor2.dumps(value))


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode(b"\x81" * 100_000)


def test_a_text_that_no_formation_holds_is_malformed() -> None:
    long = "x" * ((1 << 16) - 2) + "\xe4"
    member = [1, b"u", "n1", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    for at in range(5, 9):
        candidate = [2, b"u", b"", b"", 1, 1, *member[2:]]
        messages.decode(cbor2.dumps(candidate))
        candidate[at + 1] = long
        with pytest.raises(MalformedMessage):
            messages.decode(cbor2.dumps(candidate))
    messages.decode(cbor2.dumps([3, b"", b"", [member]]))
    with pytest.raises(MalformedMessage):
        messages.decode(cbor2.dumps([3, b"", b"", [[*member[:2], long, *member[3:]]]]))
