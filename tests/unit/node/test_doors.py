import pytest

from phantomdb.base.errors import UsageError
from phantomdb.base.world import Address
from phantomdb.node.doors import check_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1", "localhost"])
def test_a_node_may_listen_where_only_this_machine_comes(host: str) -> None:
    check_loopback(Address(host, 1))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "127.example"])
def test_a_node_listens_nowhere_else_and_asks_no_resolver_what_a_name_is(host: str) -> None:
    with pytest.raises(UsageError, match="is not a loopback address"):
        check_loopback(Address(host, 1))
