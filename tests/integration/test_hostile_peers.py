"""What comes to a peer door and is no peer: strangers, liars, older lives, copies of a directory.

A node is told by name why it is not wanted, nothing of a wrong frame is believed, and the others
serve on. Two processes of one identity are the worst: they would vote twice, so one must end.
"""

import random
import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import cbor2
import pytest
from kit.cluster import (
    LOOK_S,
    ROWS_GROUP,
    SYSTEM_GROUP,
    leader_of,
    running_cluster,
    session,
    wait_ready,
    wait_until,
)
from kit.peers import Founding, Peer, frame
from kit.steady import settled

from phantomdb.base.world import Address
from phantomdb.client import view
from phantomdb.client.processes import Cluster, NodeProcess, free_ports
from phantomdb.node.world import RealWorld
from phantomdb.wire import messages
from phantomdb.wire.messages import DiskReport, Hello, Message, Refusal

#: The start that a forged peer says it is, far behind those of real ones.
FORGED_START = 1_000
#: How long a twin may take to start, to hear of the other one and to end.
END_S = 60.0
#: Sections of frames: Raft, barriers, requests, replies, control, pieces, clocks; and none.
SECTIONS = (1, 4, 5, 6, 7, 8, 9, 99)


def now_hlc() -> int:
    """Return the time as handshakes have it."""
    return RealWorld.make().clock.wall_ns() // 1_000_000 << 16


def serves(nodes: list[NodeProcess]) -> bool:
    """Whether each node reads and writes."""
    for node in nodes:
        with session(node) as db:
            for sql in (
                "CREATE TABLE IF NOT EXISTS served (k int4 PRIMARY KEY)",
                "DELETE FROM served",
                "INSERT INTO served VALUES (1) ON CONFLICT DO NOTHING",
            ):
                settled(partial(db.execute, sql))
            if settled(lambda db=db: db.execute("SELECT k FROM served").fetchall()) != [(1,)]:
                return False
    return True


def linked(nodes: list[NodeProcess], peer: NodeProcess) -> bool:
    """Whether all of these have a link with a node."""
    for node in nodes:
        members = view.ask(node.admin, LOOK_S).members
        if all((member.name, member.state) != (peer.name, "running") for member in members):
            return False
    return True


def disk_free(node: NodeProcess, peer: NodeProcess) -> int | None:
    """Return what a node knows of another's disk."""
    members = view.ask(node.admin, LOOK_S).members
    return next(member.disk_free for member in members if member.name == peer.name)


# Strangers.


def strangers(good: Hello) -> dict[str, tuple[Message, str]]:
    """Return handshakes that are refused, and by which code."""
    return {
        "another cluster": (replace(good, cluster=bytes(8)), "WRONG_CLUSTER"),
        "no cluster": (replace(good, cluster=b""), "WRONG_CLUSTER"),
        "a newer protocol": (replace(good, protocol_min=4, protocol_max=9), "WRONG_VERSION"),
        "an older protocol": (replace(good, protocol_min=0, protocol_max=2), "WRONG_VERSION"),
        "no member": (replace(good, node=7), "NOT_MEMBER"),
        "itself": (replace(good, node=1), "NOT_MEMBER"),
        "a third stream": (replace(good, stream=2), "WRONG_VERSION"),
        "an older life": (replace(good, incarnation=0), "TAKEN"),
        "a twin": (replace(good, incarnation=1), "TAKEN"),
    }


def test_a_stranger_is_told_why_it_is_refused(shared_cluster: Cluster) -> None:
    first, second, _ = shared_cluster.nodes
    founding = Founding.of(first.peer)

    def told(name: str) -> tuple[str, str]:
        good = founding.hello(2, FORGED_START, hlc=now_hlc(), link=b"none", stream=0)
        hello, code = strangers(good)[name]
        with Peer(first.peer) as peer:
            answer = peer.ask(hello)
            assert isinstance(answer, Refusal), f"{name}: {answer}"
            assert peer.rest() == b""
        return answer.code, code

    for name in strangers(founding.hello(2, FORGED_START, hlc=0, link=b"none", stream=0)):
        found, code = told(name)
        assert found == code, name
    # None of them has cost the link to the node that they spoke for.
    assert linked([first], second)
    assert serves([first, second])


@pytest.mark.parametrize("number", [1 << 32, 1 << 63, -1, 1.5, True])
def test_a_handshake_with_numbers_that_no_node_has_is_closed(
    shared_cluster: Cluster, number: float
) -> None:
    first = shared_cluster.nodes[0]
    cluster = Founding.of(first.peer).cluster
    for fields in ([2, number], [number, 1]):
        body = cbor2.dumps([5, 1, 1, "", cluster, *fields, b"none", 0, now_hlc(), b"none"])
        with Peer(first.peer) as peer:
            peer.socket.sendall(struct.pack("!I", len(body)) + body)
            assert peer.rest() == b""
    assert serves([first])


def test_what_is_no_question_is_no_handshake(shared_cluster: Cluster) -> None:
    first = shared_cluster.nodes[0]
    for message in (
        DiskReport(is_short=False, free=1, total=1, reserve=1),
        Refusal("NOT_MEMBER", ""),
        replace_members(first),
    ):
        with Peer(first.peer) as peer:
            peer.say(message)
            peer.socket.shutdown(1)
            peer.rest()
    assert serves([first])


def replace_members(node: NodeProcess) -> Message:
    """Return a founding of the cluster with other members: a formed node takes none."""
    form = Founding.of(node.peer).form
    return replace(form, members=[[1, b"me", "n1", "here", "here", "here"]])


# Liars: they shake hands as a member that is away.


@pytest.fixture(scope="module")
def bereft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give three nodes of which the third is away."""
    with running_cluster(tmp_path_factory.mktemp("bereft")) as cluster:
        third = cluster.nodes[2]
        third.stop()
        for group in (SYSTEM_GROUP, ROWS_GROUP):
            leader_of(cluster, group, without=[third])
        yield cluster


def frame_cluster(cluster: bytes) -> int:
    """Return a cluster's id as frames have it."""
    high, low = struct.unpack("!II", cluster)
    return int(high ^ low)


def _taken_in(node: NodeProcess, founding: Founding, link: bytes, stream: int, hlc: int) -> Peer:
    peer = Peer(node.peer)
    # Whatever a handshake says of the time: clocks are compared over links.
    answer = peer.ask(founding.hello(3, FORGED_START, hlc=hlc, link=link, stream=stream))
    assert isinstance(answer, Hello), answer
    return peer


class Forged:
    """A link to a node, as the third one in a late life."""

    def __init__(
        self, node: NodeProcess, *, streams: tuple[int, ...] = (0, 1), hlc: int | None = None
    ) -> None:
        hlc = now_hlc() if hlc is None else hlc
        founding = Founding.of(node.peer)
        self.streams: dict[int, Peer] = {}
        self._header = struct.pack(
            "<HBBIIIIQ",
            *(0xD8F2, 1, 1, frame_cluster(founding.cluster), 3),
            *(int(node.name[1:]), FORGED_START, hlc),
        )
        link = random.Random().randbytes(16)
        for stream in streams:
            self.streams[stream] = _taken_in(node, founding, link, stream, hlc)

    def frame(self, kind: int, content: bytes) -> bytes:
        """Return a frame that the node has to believe, with one section."""
        return frame(self._header, struct.pack("<BI", kind, len(content)) + content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self.streams.values():
            peer.socket.close()


def test_garbage_behind_a_good_handshake_ends_the_link_only(bereft: Cluster) -> None:
    drawn = random.Random(3)
    nodes = list(bereft.nodes[:2])
    for node in nodes:
        for number in (0, 1):
            for part in (bytes(36), b"\xff" * 64, drawn.randbytes(4_000)):
                with Forged(node) as forged:
                    forged.streams[number].socket.sendall(part)
                    forged.streams[0].rest()
                    forged.streams[1].rest()
        with Forged(node) as forged:
            forged.streams[0].socket.sendall(forged.frame(7, b"")[:20])
    assert serves(nodes)


def test_sections_of_garbage_in_a_good_frame_do_no_harm(bereft: Cluster) -> None:
    drawn = random.Random(4)
    nodes = list(bereft.nodes[:2])
    contents = [b"", b"\0", b"\xff" * 40, cbor2.dumps([8, [[1, 2, 3]]]), cbor2.dumps([9, 1])]
    contents += [drawn.randbytes(drawn.randrange(1, 300)) for _ in range(4)]
    contents += [bytes([1, drawn.randrange(256), *drawn.randbytes(50)]) for _ in range(4)]
    for node in nodes:
        for kind in SECTIONS:
            for content in contents:
                with Forged(node) as forged:
                    for peer in forged.streams.values():
                        peer.socket.sendall(forged.frame(kind, content))
    assert serves(nodes)


def test_a_good_frame_of_a_forged_peer_is_believed(bereft: Cluster) -> None:
    """Or the tests above would show nothing."""
    node, away = bereft.nodes[0], bereft.nodes[2]
    told = messages.encode(DiskReport(is_short=False, free=4321, total=9999, reserve=1))
    with Forged(node) as forged:
        forged.streams[0].socket.sendall(forged.frame(7, told))
        wait_until(node, "it is heard", lambda: disk_free(node, away) == 4321)


def test_a_clock_of_the_future_costs_its_link_and_one_of_long_ago_nothing(bereft: Cluster) -> None:
    node, away = bereft.nodes[0], bereft.nodes[2]
    for at, free in ((0, 1111), ((1 << 64) - 1, 2222)):
        told = messages.encode(DiskReport(is_short=False, free=free, total=9999, reserve=1))
        with Forged(node, hlc=at) as forged:
            forged.streams[0].socket.sendall(forged.frame(7, told))
            if at:
                forged.streams[0].rest()
                forged.streams[1].rest()
                assert disk_free(node, away) != free
            else:
                wait_until(node, "it is heard", lambda free=free: disk_free(node, away) == free)
    assert serves(list(bereft.nodes[:2]))


def test_the_streams_of_a_link_come_in_any_order(bereft: Cluster) -> None:
    node, away = bereft.nodes[0], bereft.nodes[2]
    with Forged(node, streams=(1, 0)) as swapped:
        wait_until(node, "it is linked", lambda: linked([node], away))
        with Forged(node):
            # The newest handshake wins.
            swapped.streams[0].rest()
            swapped.streams[1].rest()
    assert serves([node])


def test_many_handshakes_at_once_leave_one_link(bereft: Cluster) -> None:
    node, away = bereft.nodes[0], bereft.nodes[2]
    founding = Founding.of(node.peer)

    def storm(stack: ExitStack) -> bool:
        links = [random.Random().randbytes(16) for _ in range(30)]
        peers = []
        for stream in (0, 1):
            for link in links:
                peer = stack.enter_context(Peer(node.peer))
                # The second ones complete their links, whether or not the node has come to others.
                peer.say(founding.hello(3, FORGED_START, hlc=now_hlc(), link=link, stream=stream))
                peers.append(peer)
        taken = [isinstance(peer.hear(), Hello) for peer in peers]
        return any(map(all, zip(taken[:30], taken[30:], strict=True)))

    with ExitStack() as stack:
        while not storm(stack):
            pass  # No two of one link were taken; there is another storm.
        wait_until(node, "one is linked", lambda: linked([node], away))
    wait_until(node, "none is left", lambda: not linked([node], away))
    assert serves([node])


def test_a_peer_that_reads_nothing_delays_nobody(bereft: Cluster) -> None:
    nodes = list(bereft.nodes[:2])
    value = "x" * (3 << 20)
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(Forged(node))
        db = stack.enter_context(session(nodes[0]))
        settled(
            lambda: db.execute("CREATE TABLE IF NOT EXISTS unheard (k int4 PRIMARY KEY, v text)")
        )
        # More than the 32 MiB that wait for a peer at most, and what its socket holds.
        for k in range(14):
            sql = "INSERT INTO unheard VALUES ($1, $2) ON CONFLICT DO NOTHING"
            settled(partial(db.execute, sql, (k, value)))
        found = settled(lambda: db.execute("SELECT count(*) FROM unheard").fetchone())
        assert found == (14,)
        settled(lambda: db.execute("DROP TABLE IF EXISTS unheard"))
    assert serves(nodes)


# A directory that was copied, and both are started.


def twin_of(node: NodeProcess, directory: Path) -> NodeProcess:
    """Return a node with doors of its own, for a copy of a node's directory.

    The node must run: the doors of one that is away would be free.
    """
    assert node.is_running
    world = RealWorld.make()
    pg, peer, admin = (Address("127.0.0.1", port) for port in free_ports(3, world.random))
    return NodeProcess(
        node.name, directory, pg=pg, peer=peer, admin=admin, join=(), clock=world.clock
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_copy_of_a_directory_is_not_served_beside_it(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        *others, third = cluster.nodes
        twin = twin_of(third, tmp_path / "twin")
        third.stop()
        shutil.copytree(third.directory, twin.directory)
        third.start()
        third.wait_ready()
        wait_until(third, "it is linked", lambda: linked(others, third))
        twin.start()
        try:
            # Both are in the same start of their lives; the first that the others met stays.
            assert twin.wait_stopped(END_S) == 3
            assert "another process that is this node" in twin.log_tail()
            assert serves(list(cluster.nodes))
        finally:
            twin.stop()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_node_ends_when_a_copy_of_its_directory_has_begun_a_later_life(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        *others, third = cluster.nodes
        third.stop()
        third.start()
        third.wait_ready()
        third.pause()
        twin = twin_of(third, tmp_path / "twin")
        shutil.copytree(third.directory, twin.directory)
        twin.start()
        try:
            wait_ready(twin)
            wait_until(twin, "it is linked", lambda: linked(others, twin))
            third.resume()
            assert third.wait_stopped(END_S) == 3
            assert "another process that is this node" in third.log_tail()
            assert serves([*others, twin])
        finally:
            assert twin.stop() == 0
