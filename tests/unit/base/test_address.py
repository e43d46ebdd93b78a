import pytest
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.base.world import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:5432", "127.0.0.1", 5432),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65_535),
        ("[fe80::1]:1", "fe80::1", 1),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            "host",
            "host:",
            ":1",
            "host:x",
            "host:-1",
            "host:65536",
            "::1",
            "a:b:1",
            "[]:1",
        ),
        # No resolver takes these: it would raise what is no `OSError`.
        *("a..b:1", ".a:1", f"{'a' * 64}.b:1", "a\0b:1", "\udcff:1"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Address.parse(text)


def test_a_port_may_be_left_out_where_there_is_a_default() -> None:
    assert Address.parse("host", default_port=7) == Address("host", 7)
    assert Address.parse("::1", default_port=7) == Address("::1", 7)
    assert Address.parse("host:8", default_port=7) == Address("host", 8)


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_what_is_printed_is_read_back(host: object, port: int) -> None:
    address = Address(str(host), port)
    assert Address.parse(str(address)) == address


@given(st.text(), st.none() | st.integers(0, 65_535))
def test_any_text_is_an_address_or_refused(text: str, default_port: int | None) -> None:
    try:
        address = Address.parse(text, default_port=default_port)
    except ValueError:
        return
    assert address.host
    assert 0 <= address.port <= 65_535
    address.host.encode("idna")


def test_addresses_sort_by_host_and_port() -> None:
    assert Address("a", 2) < Address("a", 10) < Address("b", 1)
