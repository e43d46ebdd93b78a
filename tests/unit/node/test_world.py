import socket
import stat
from pathlib import Path

import pytest
import trio

from phantomdb.base.world import Address
from phantomdb.node.world import RealNetwork, RealWorld, memory_bound_files, memory_of

HERE = Address("127.0.0.1", 0)


async def test_connections_are_accepted_here_until_the_door_is_closed() -> None:
    listener = await RealNetwork().listen(HERE)
    assert listener.address.port > 0
    near = socket.create_connection((listener.address.host, listener.address.port))
    far = await listener.accept()
    near.sendall(b"hello")
    assert await far.receive_some() == b"hello"
    await far.send_all(b"welcome")
    assert near.recv(10) == b"welcome"
    near.close()
    assert await far.receive_some() == b""
    await far.aclose()
    await listener.aclose()
    await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_an_address_in_use_is_refused() -> None:
    network = RealNetwork()
    listener = await network.listen(HERE)
    with pytest.raises(OSError, match="in use"):
        await network.listen(listener.address)
    with pytest.raises(OSError, match="in use"):
        network.bind(listener.address)
    await listener.aclose()


def test_a_door_that_was_given_away_is_not_closed_here() -> None:
    door = RealNetwork().bind(HERE)
    taken = socket.socket(fileno=door.detach())
    door.close()
    assert taken.getsockname() == ("127.0.0.1", door.address.port)
    taken.close()


def test_a_socket_of_the_file_system_is_for_its_user_and_goes_with_its_door(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".s.PGSQL.5432"
    door = RealNetwork().bind_path(path)
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    with pytest.raises(OSError, match="in use"):
        RealNetwork().bind_path(path)
    assert door.name == str(path)
    door.close()
    assert not path.exists()


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.5432"
    former = RealNetwork().bind_path(path)
    # Its reactor has closed it: it drains, and is not gone yet.
    socket.socket(fileno=former.detach()).close()
    successor = RealNetwork().bind_path(path)
    former.close()
    assert path.exists()
    successor.close()
    assert not path.exists()


def test_what_a_dead_process_left_of_a_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.5432"
    dead = RealNetwork().bind_path(path)
    socket.socket(fileno=dead.detach()).close()
    assert path.exists()
    RealNetwork().bind_path(path).close()
    path.write_text("somebody's notes")
    with pytest.raises(OSError, match="in use"):
        RealNetwork().bind_path(path)
    assert path.read_text() == "somebody's notes"


async def test_numbers_and_names_have_numeric_addresses() -> None:
    network = RealNetwork()
    for host in ("127.0.0.1", "::1"):
        assert await network.resolve(Address(host, 7)) == [Address(host, 7)]
    found = await network.resolve(Address("localhost", 7))
    assert {address.host for address in found} <= {"127.0.0.1", "::1"}
    assert found
    with pytest.raises(OSError, match=r"not known|resolution|No address"):
        await network.resolve(Address("absent.invalid", 7))


MEMINFO = "MemTotal:       24662012 kB\nMemFree:         1048576 kB\n"
MACHINE_BYTES = 24662012 << 10


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ([], MACHINE_BYTES),
        (["max\n", ""], MACHINE_BYTES),
        (["536870912\n", "max\n"], 512 << 20),
        (["1073741824\n", "536870912\n"], 512 << 20),
        (["9223372036854771712\n"], MACHINE_BYTES),
        (["0\n", "-1\n", "lots\n"], MACHINE_BYTES),
    ],
)
def test_memory_is_the_machines_or_the_least_of_its_cgroups(bounds: list[str], wanted: int) -> None:
    assert memory_of(MEMINFO, bounds) == wanted


def test_a_machine_that_does_not_tell_its_memory_is_taken_for_a_small_one() -> None:
    assert memory_of("", []) == 1 << 30
    assert memory_of("", ["1048576"]) == 1 << 20


def test_bounds_of_memory_are_looked_for_in_all_parents_of_both_versions() -> None:
    roots = ["memory.max", "memory/memory.limit_in_bytes"]
    assert memory_bound_files("") == roots
    assert memory_bound_files("0::/a.slice/b.service\n") == [
        *roots,
        "a.slice/memory.max",
        "a.slice/b.service/memory.max",
    ]
    version_1 = "9:cpu,cpuacct:/x\n4:memory:/docker/77\n1:name=systemd:/y\n"
    assert memory_bound_files(version_1) == [
        *roots,
        "memory/docker/memory.limit_in_bytes",
        "memory/docker/77/memory.limit_in_bytes",
    ]
    assert memory_bound_files("0::/../../elsewhere\nnonsense\n") == roots


def test_this_machine_has_memory() -> None:
    assert RealWorld.memory_bytes() >= 64 << 20
