"""Nodes in trouble with their own process: few descriptors, no standard files, full doors.

A node that cannot have what it needs says so and serves on with what it has; one that is told to
stop does, whatever its clients do.
"""

import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from kit.cluster import running_cluster, session, wait_ready, wait_until
from kit.frontend import Frontend, query
from kit.ledger import Clients, Ledger, check, prepare
from kit.peers import Founding

from phantomdb.base.world import Address
from phantomdb.client import view
from phantomdb.client.processes import COMMAND, NodeProcess, free_ports
from phantomdb.node.world import RealWorld

#: Small enough that a few writes make new files.
MEMORY_BYTES = 16 << 20


def by_shell(script: str) -> Sequence[str]:
    """Return a command that runs a node by a shell, which ends with `exec "$@"` and the like."""
    return ("sh", "-c", script, "sh", *COMMAND)


@contextmanager
def lone_node(directory: Path, script: str, *, is_told: bool = True) -> Iterator[NodeProcess]:
    """Run a cluster of one by a shell; `is_told` says whether its ready line can be read."""
    world = RealWorld.make()
    pg, peer, admin = (Address("127.0.0.1", port) for port in free_ports(3, world.random))
    node = NodeProcess(
        "n1",
        directory / "n1",
        pg=pg,
        peer=peer,
        admin=admin,
        join=(),
        clock=world.clock,
        command=by_shell(script),
        memory_bytes=MEMORY_BYTES,
    )
    node.start()
    try:
        if is_told:
            node.wait_ready()
        wait_ready(node)
        yield node
        assert node.stop() == 0
    except BaseException as error:
        error.add_note(node.log_tail())
        raise
    finally:
        node.stop()


def held(stack: ExitStack, door: Address, count: int) -> None:
    """Hold so many connections at a door that say nothing."""
    for _ in range(count):
        sock = socket.create_connection((door.host, door.port), timeout=45)
        stack.enter_context(sock)


def test_connections_do_not_take_the_descriptors_of_files(tmp_path: Path) -> None:
    with lone_node(tmp_path, 'ulimit -n 64; exec "$@"') as node, ExitStack() as stack:
        with Frontend.connect(node.pg.port) as db:
            assert not db.query("CREATE TABLE t (k int PRIMARY KEY, v text)").errors
            for door in (node.pg, node.peer):
                held(stack, door, 100)
            # Segments of the log and tables are made all the while; and the admin door is another.
            value = b"x" * (3 << 20)
            for k in range(12):
                answer = db.extended(f"INSERT INTO t VALUES ({k}, $1)", [value])
                assert not answer.errors
                assert view.is_ready(node.admin, 30)
            assert db.query("SELECT count(*) FROM t").values() == [("12",)]
        stack.close()
        with Frontend.connect(node.pg.port) as db:
            assert db.query("SELECT count(*) FROM t").values() == [("12",)]
        said = node.log.read_text()
        assert said.count(f"{node.pg} has no room for more connections") == 1
        assert "Too many open files" not in said


def test_sessions_beyond_the_limit_are_told_and_there_is_room_again(tmp_path: Path) -> None:
    with lone_node(tmp_path, 'ulimit -n 64; exec "$@"') as node, ExitStack() as stack:
        [limit] = re.findall(r"serving at most (\d+) sessions", node.log.read_text())
        sessions = [stack.enter_context(Frontend.connect(node.pg.port)) for _ in range(int(limit))]
        for _ in range(5):
            with Frontend.connect(node.pg.port) as refused:
                error = refused.greeting.error
                assert (error["S"], error["C"]) == ("FATAL", "53300")
        for frontend in sessions[:3]:
            frontend.query("SELECT 1")
            frontend.socket.close()
        # One that has left is counted until its end was read.
        while (again := Frontend.connect(node.pg.port)).greeting.sqlstate == "53300":
            again.socket.close()
            node.watch(0.02)
        with again:
            assert again.query("SELECT 1").values() == [("1",)]
        assert sessions[-1].query("SELECT 2").values() == [("2",)]


def test_too_few_descriptors_are_refused(tmp_path: Path) -> None:
    command = [*by_shell('ulimit -n 40; exec "$@"'), "--data", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=45, check=False)
    assert ended.returncode == 2
    assert "ulimit -n" in ended.stderr


def test_silent_connections_leave_room_at_the_admin_door(tmp_path: Path) -> None:
    with lone_node(tmp_path, 'ulimit -n 2048; exec "$@"') as node, ExitStack() as stack:
        # More than its slots. Those that say nothing are closed, and whoever asks has a turn.
        held(stack, node.admin, 500)
        assert view.is_ready(node.admin, 45)


# Standard files.


def test_no_file_of_the_node_takes_the_place_of_a_standard_one(tmp_path: Path) -> None:
    with lone_node(tmp_path, 'exec "$@" <&- >&- 2>&-', is_told=False) as node:
        with session(node) as db:
            db.execute("CREATE TABLE t (k int4 PRIMARY KEY)")
        for number in range(3):
            assert Path(f"/proc/{node.pid}/fd/{number}").readlink() == Path("/dev/null")


#: A full disk, and a pipe whose reader has gone.
DEAF = ['exec "$@" >/dev/full', 'mkfifo "$0.fifo"; true <"$0.fifo" & exec "$@" >"$0.fifo"']


@pytest.mark.parametrize("script", DEAF)
def test_a_node_that_cannot_say_that_it_is_ready_serves(tmp_path: Path, script: str) -> None:
    script = script.replace("$0", str(tmp_path / "out"))
    with lone_node(tmp_path, script, is_told=False) as node, session(node) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


# Told to stop.


def lets_in(door: Address) -> bool:
    """Whether anybody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((door.host, door.port)) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nodes_told_to_stop_under_load_have_what_was_acknowledged(tmp_path: Path) -> None:
    ledger = Ledger()
    with running_cluster(tmp_path) as cluster:
        prepare(cluster)
        for node in cluster.nodes:
            with Clients(cluster, ledger):
                ledger.wait_for(50)
                assert node.stop() == 0
            node.start()
            node.wait_ready()
        check(cluster, ledger)


def test_a_node_told_twice_stops_whatever_its_clients_do(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        with Frontend.connect(node.pg.port) as deaf, Frontend.connect(node.pg.port) as busy:
            rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(300))
            busy.query("CREATE TABLE wide (k int PRIMARY KEY, v text)")
            busy.query(f"INSERT INTO wide VALUES {rows}")
            deaf.send(query("SELECT a.v, b.v FROM wide a, wide b"))
            busy.send(query("SELECT count(*) FROM wide a, wide b, wide c, wide d"))
            assert deaf.receive()[0] == "T"
            node.ask_to_stop()
            wait_until(node, "it was told", lambda: "told to stop" in node.log.read_text())
            node.ask_to_stop()
            assert node.wait_stopped() == 0


def test_a_node_told_to_stop_keeps_its_peers_while_it_serves_clients(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        with Frontend.connect(node.pg.port) as deaf:
            deaf.query("CREATE TABLE wide (k int PRIMARY KEY, v text)")
            rows = ", ".join(f"({k}, '{'x' * 1_000}')" for k in range(300))
            deaf.query(f"INSERT INTO wide VALUES {rows}")
            deaf.send(query("SELECT a.v, b.v FROM wide a, wide b"))
            assert deaf.receive()[0] == "T"
            node.ask_to_stop()
            wait_until(node, "no client is let in", lambda: not lets_in(node.pg))
            assert Founding.of(node.peer).form.members, "its statement needs the links"
            node.ask_to_stop()
            assert node.wait_stopped() == 0
