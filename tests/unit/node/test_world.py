import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from phantomdb.base.world import Address, Stream
from phantomdb.client.processes import free_ports
from phantomdb.node.world import RealNetwork, RealWorld, memory_bound_files, memory_of

#: More than sockets buffer.
LARGE = bytes(range(256)) * (64 << 10)


@contextlib.asynccontextmanager
async def connection() -> AsyncIterator[tuple[Stream, Stream]]:
    """Both ends of a connection of this machine."""
    network = RealNetwork()
    listener = await network.listen(Address("127.0.0.1", 0))
    near = await network.connect(listener.address)
    far, peer = await listener.accept()
    assert peer.host == "127.0.0.1"
    try:
        yield near, far
    finally:
        for end in (near, far, listener):
            await end.aclose()


async def receive_all(stream: Stream) -> bytearray:
    data = bytearray()
    while some := await stream.receive_some(10_000):
        data += some
    return data


async def test_bytes_come_in_order_however_slowly_they_are_read() -> None:
    async with connection() as (near, far), trio.open_nursery() as nursery:

        async def send() -> None:
            await near.send_all(LARGE)
            await near.send_all(b"")
            await near.aclose()

        nursery.start_soon(send)
        assert await receive_all(far) == LARGE


async def test_who_waits_for_a_connection_is_told_when_it_is_closed_here() -> None:
    async with connection() as (near, _), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
        await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")


async def test_a_connection_that_the_peer_reset_is_broken() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    near = await RealNetwork().connect(Address(*listening.getsockname()))
    far, _ = listening.accept()
    # Closed without lingering: a reset instead of an end.
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(LARGE)
    await near.aclose()
    listening.close()


async def test_sending_can_be_cancelled() -> None:
    async with connection() as (near, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await near.send_all(b"x")
        assert scope.cancelled_caught
        with trio.move_on_after(0.01) as scope:
            await near.send_all(LARGE)  # Nobody reads.
        assert scope.cancelled_caught


async def test_an_address_in_use_is_refused() -> None:
    network = RealNetwork()
    # Out of the range of outgoing connections: dialling it must not connect to itself below.
    [port] = free_ports(1, RealWorld.make().random)
    listener = await network.listen(Address("127.0.0.1", port))
    with pytest.raises(OSError, match="in use"):
        await network.listen(listener.address)
    await listener.aclose()
    await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    with pytest.raises(OSError, match="connect"):
        await network.connect(listener.address)


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
