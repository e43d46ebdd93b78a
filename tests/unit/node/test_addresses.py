from dataclasses import replace

import pytest

from phantomdb.base.errors import UsageError
from phantomdb.base.settings import NodeSettings
from phantomdb.base.world import Address
from phantomdb.node.doors.addresses import advertised, check_reachable

HERE = Address("127.0.0.1", 1)
SETTINGS = NodeSettings("d", "n1", 1, 1, (), (HERE,), (HERE,), HERE)
NEAR = ["127.0.0.1", "127.9.8.7", "::1", "localhost"]
FAR = ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "127.example"]


@pytest.mark.parametrize("host", NEAR)
def test_a_node_may_listen_where_only_this_machine_comes(host: str) -> None:
    here = Address(host, 1)
    check_reachable(replace(SETTINGS, listen_pg=(here,), listen_peer=(here,), listen_admin=here))


@pytest.mark.parametrize("host", FAR)
def test_where_others_come_they_must_show_who_they_are(host: str) -> None:
    far = Address(host, 1)
    for settings in (
        replace(SETTINGS, listen_pg=(HERE, far)),
        replace(SETTINGS, listen_peer=(far,)),
    ):
        with pytest.raises(UsageError, match="is not a loopback address") as caught:
            check_reachable(settings)
        assert "--certs" in caught.value.hint
        check_reachable(replace(settings, certs="certs"))
        check_reachable(replace(settings, is_insecure=True))


@pytest.mark.parametrize("host", FAR)
def test_http_is_for_this_machine_unless_all_are_trusted(host: str) -> None:
    settings = replace(SETTINGS, listen_admin=Address(host, 1), certs="certs")
    with pytest.raises(UsageError, match="is not a loopback address"):
        check_reachable(settings)
    check_reachable(replace(settings, is_insecure=True))


@pytest.mark.parametrize(
    ("bound", "told", "join", "wanted"),
    [
        ("10.0.0.1:5", None, [], "10.0.0.1:5"),
        ("10.0.0.1:5", "db.example:7", [], "db.example:7"),
        ("0.0.0.0:5", "db.example:0", [], "db.example:5"),
        ("0.0.0.0:5", None, [], "box:5"),
        ("[::]:5", None, [], "box:5"),
        ("0.0.0.0:5", None, ["n1.example:5", "own.example:5"], "own.example:5"),
        # Other doors are on the same host.
        ("0.0.0.0:6", None, ["n1.example:5", "own.example:5"], "own.example:6"),
        # Three nodes on one machine tell themselves apart by their ports.
        ("[::]:6", None, ["own.example:5", "own2.example:6"], "own2.example:6"),
        ("0.0.0.0:5", None, ["n1.example:5"], "box:5"),
    ],
)
def test_others_are_told_what_they_can_dial(
    bound: str, told: str | None, join: list[str], wanted: str
) -> None:
    found = advertised(
        Address.parse(bound),
        Address.parse(told) if told else None,
        [Address.parse(entry) for entry in join],
        lambda host: host.startswith("own"),
        lambda: "box",
    )
    assert str(found) == wanted
