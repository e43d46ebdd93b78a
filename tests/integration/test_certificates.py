"""What clients and nodes meet where there are certificates: drivers as they are, plain bytes."""

import os
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest
from kit.certified import Made, certified_cluster, certified_nodes, made_certificates
from kit.cluster import wait_ready, wait_until
from kit.frontend import Frontend, query, startup
from psycopg.rows import TupleRow

from phantomdb.client.processes import NodeProcess

SSL = struct.pack("!ii", 8, 80_877_103)
#: What is asked in a connection of its own, to find out whether it is one.
ENCRYPTED = "SELECT 40 + 2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Give a node that trusts clients of this machine."""
    directory = tmp_path_factory.mktemp("trusting")
    with certified_cluster(directory, made_certificates(directory)) as [node]:
        yield node


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[NodeProcess]:
    """Give a node that asks all clients for their certificate."""
    directory = tmp_path_factory.mktemp("strict")
    with certified_cluster(directory, made, "--distrust-loopback") as [node]:
        yield node


def psql(node: NodeProcess, host: str = "localhost", **words: str) -> tuple[int, str]:
    """Ask through psql; its exit code, and what it said."""
    given = {"host": host, "port": str(node.pg.port), "dbname": "postgres"} | words
    connection = " ".join(f"{name}={value}" for name, value in given.items())
    # Files in the home of who runs the test are none of ours.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    ended = subprocess.run(
        ["psql", "-XAtd", connection, "-c", ENCRYPTED, "-c", r"\conninfo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=45,
    )
    return ended.returncode, ended.stdout + ended.stderr


def session(node: NodeProcess, **words: str) -> psycopg.Connection[TupleRow]:
    """Connect as psycopg does."""
    given = {"host": "localhost", "port": str(node.pg.port), "dbname": "postgres"} | words
    return psycopg.connect(**given, connect_timeout=40, autocommit=True)  # type: ignore[arg-type]  # All are texts.


def refusal(node: NodeProcess, **words: str) -> str:
    """Return what psycopg is told."""
    with pytest.raises(psycopg.OperationalError) as caught:
        session(node, **words)
    return str(caught.value)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_psql_encrypts(strict: NodeProcess, made: Made, mode: str, version: str) -> None:
    alice = made.client("alice") | {"sslmode": mode}
    alice |= {"ssl_min_protocol_version": version, "ssl_max_protocol_version": version}
    code, said = psql(strict, **alice)
    assert (code, said.splitlines()[0]) == (0, "42"), said
    assert f"protocol: {version}" in said


def test_clients_of_this_machine_are_trusted_encrypted_or_not(trusting: NodeProcess) -> None:
    for mode, is_encrypted in [("disable", False), ("prefer", True), ("require", True)]:
        code, said = psql(trusting, sslmode=mode, user="anyone")
        assert (code, said.splitlines()[0]) == (0, "42"), said
        assert ("SSL connection" in said) == is_encrypted


def test_a_client_is_the_role_of_its_certificate(strict: NodeProcess, made: Made) -> None:
    alice = made.client("alice")
    with session(strict, **alice) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("alice",)
    said = refusal(strict, **(alice | {"user": "bob"}))
    assert 'certificate authentication failed for user "bob"' in said
    bare = {"user": "alice", "sslmode": "require"}
    assert "must show a certificate" in refusal(strict, **bare)
    assert "must be encrypted" in refusal(strict, user="alice", sslmode="disable")


def test_a_nodes_certificate_is_no_clients(strict: NodeProcess, made: Made) -> None:
    folder = made.node("n9")
    words = made.client("alice") | {"user": "n9"}
    words |= {"sslcert": str(folder / "node.crt"), "sslkey": str(folder / "node.key")}
    assert "is no client's" in refusal(strict, **words)


def test_strangers_and_old_certificates_are_refused(
    strict: NodeProcess, made: Made, tmp_path: Path
) -> None:
    foreign = made_certificates(tmp_path).client("alice")
    ours = made.client("alice")
    # Its certificate is none of ours; and ours is none that it trusts.
    assert "alert" in refusal(strict, **(foreign | {"sslrootcert": ours["sslrootcert"]}))
    words = ours | {"sslrootcert": foreign["sslrootcert"]}
    assert "certificate verify failed" in refusal(strict, **words)
    assert "alert" in refusal(strict, **made.client("alice", ago=timedelta(days=3)))
    # It is not the node that was dialled.
    assert "does not match" in refusal(strict, **ours, hostaddr="127.0.0.1", host="n2.example")


async def _fetch(node: NodeProcess, context: ssl.SSLContext, user: str) -> object:
    connection = await asyncpg.connect(
        host="localhost", port=node.pg.port, user=user, database="postgres", ssl=context
    )
    try:
        return await connection.fetchval("SELECT repeat('x', 1000000)")
    finally:
        await connection.close()


def _context(words: dict[str, str], *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=words["sslrootcert"])
    context.load_cert_chain(words["sslcert"], words["sslkey"])
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def test_asyncpg_encrypts(strict: NodeProcess, made: Made) -> None:
    import asyncio  # noqa: PLC0415 - this driver's loop, in this test alone

    words = made.client("alice")
    assert asyncio.run(_fetch(strict, _context(words), "alice")) == "x" * 1_000_000


def test_a_client_may_encrypt_at_once(strict: NodeProcess, made: Made) -> None:
    words = made.client("alice")
    at = ("localhost", strict.pg.port)
    with (
        socket.create_connection(at, timeout=40) as plain,
        _context(words, "postgresql").wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(startup(user="alice", database="postgres") + query(ENCRYPTED))
        heard = b""
        while b"42" not in heard:
            data = secure.recv(4096)
            assert data, heard
            heard += data
    # One that names no protocol may be no client of ours.
    with (
        socket.create_connection(at, timeout=40) as plain,
        _context(words).wrap_socket(plain, server_hostname="localhost") as nameless,
    ):
        assert _is_closed(nameless)


def _is_closed(secure: ssl.SSLSocket) -> bool:
    try:
        return secure.recv(1) == b""
    except OSError:
        return True


def test_plain_bytes_behind_the_question_are_refused(strict: NodeProcess) -> None:
    with Frontend.open(strict.pg.port) as frontend:
        frontend.send(SSL + startup(user="alice", database="postgres"))
        assert [error["C"] for error in frontend.answer().errors] == ["08P01"]


def test_openssl_sees_no_resumption_and_a_goodbye(strict: NodeProcess, made: Made) -> None:
    words = made.client("alice")
    ended = subprocess.run(
        [
            *("openssl", "s_client", "-starttls", "postgres", "-verify_return_error"),
            *("-connect", f"localhost:{strict.pg.port}", "-CAfile", words["sslrootcert"]),
            *("-cert", words["sslcert"], "-key", words["sslkey"]),
        ],
        input=startup(user="bob", database="postgres"),
        capture_output=True,
        check=False,
        timeout=45,
    )
    said = ended.stdout.decode(errors="replace")
    assert "Verify return code: 0 (ok)" in said
    assert "New Session Ticket" not in said
    assert "Acceptable client certificate CA names" in said


def _shown(node: NodeProcess) -> str:
    with socket.create_connection(("localhost", node.pg.port), timeout=40) as plain:
        plain.sendall(SSL)
        assert plain.recv(1) == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            found = secure.getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


def test_certificates_are_read_again_when_they_change(tmp_path: Path) -> None:
    with certified_cluster(tmp_path, made_certificates(tmp_path)) as [node]:
        before = _shown(node)
        folder = tmp_path / "node-n1"
        fresh = made_certificates(tmp_path / "fresh")
        for path in fresh.node("n1").iterdir():
            (folder / f"{path.name}.new").write_bytes(path.read_bytes())
            (folder / f"{path.name}.new").rename(folder / path.name)
        with session(node, user="a", sslmode="require") as open_before:
            os.kill(node.pid, signal.SIGHUP)
            wait_until(node, "the new one is shown", lambda: _shown(node) != before)
            assert open_before.execute("SELECT 1").fetchone() == (1,), "it lives on"
        assert "certificates are read again" in node.log.read_text()


def test_three_nodes_with_certificates_are_a_cluster(made: Made, tmp_path: Path) -> None:
    own = Made(made.authority, tmp_path)
    with certified_cluster(tmp_path, own, nodes=3) as nodes:
        alice = made.client("alice")
        for node in nodes:
            with session(node, **alice) as connection:
                if node is nodes[0]:
                    connection.execute("CREATE TABLE t (k int PRIMARY KEY, name text)")
                connection.execute("INSERT INTO t VALUES (%s, %s)", (node.pg.port, node.name))
                row = connection.execute("SELECT count(*) FROM t").fetchone()
                assert row == (nodes.index(node) + 1,)
        nodes[0].kill()
        nodes[0].start()
        nodes[0].wait_ready()
        wait_ready(nodes[0])
        # What is said between nodes is not to be read on the way.
        with socket.create_connection(("127.0.0.1", nodes[1].peer.port), timeout=40) as plain:
            plain.sendall(struct.pack("!i", 3) + b"abc")
            assert b"\x15\x03" in plain.recv(100), "an alert of TLS"


def test_a_node_of_another_authority_joins_nobody(tmp_path: Path) -> None:
    ours, other = made_certificates(tmp_path), made_certificates(tmp_path / "other")
    with certified_nodes(tmp_path, [ours, ours, other]) as nodes:
        for node in nodes:
            wait_until(
                node,
                "it waits for who does not answer",
                lambda node=node: "waiting for" in node.log_tail(),  # type: ignore[misc]  # Bound now.
            )
        assert all("formed cluster" not in node.log_tail() for node in nodes)
