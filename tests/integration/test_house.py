"""What a node makes of the house that it lives in: signals, file rights, other people's folders."""

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from kit.cluster import running_cluster, wait_until
from kit.frontend import Frontend

from phantomdb.client.processes import COMMAND, NodeProcess, free_ports
from phantomdb.node.world import RealWorld

#: How long a node may take to refuse, in seconds.
REFUSE_S = 45
DOORS = ("pg", "peer", "admin")
#: The data directory is made by the node itself, under a umask that takes nothing away.
UNDER_NO_UMASK = ("sh", "-c", 'umask 0; exec "$@"', "sh", *COMMAND)
#: The owner's own rights are taken away: what is made so cannot be opened again.
UNDER_A_HARSH_UMASK = ("sh", "-c", 'umask 0777; exec "$@"', "sh", *COMMAND)


def refused(directory: Path, *options: str) -> tuple[int, str]:
    """Start a node that must refuse; returns its exit code and what it said."""
    ports = free_ports(3, RealWorld.make().random)
    doors = [f"--listen-{door}=127.0.0.1:{port}" for door, port in zip(DOORS, ports, strict=True)]
    ended = subprocess.run(
        [*COMMAND, "--data", str(directory), *doors, *options],
        capture_output=True,
        text=True,
        timeout=REFUSE_S,
        check=False,
    )
    assert ended.stdout == "", "a node that refuses is never ready"
    return ended.returncode, ended.stderr


def modes(directory: Path) -> dict[str, int]:
    """Rights of everything below a directory, and its own."""
    below = [path for path in directory.rglob("*") if path.exists()]
    return {str(path): stat.S_IMODE(path.stat().st_mode) for path in (directory, *below)}


@pytest.mark.parametrize(
    "name", ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "SIGVTALRM", "SIGPROF", "SIGIO"]
)
def test_a_signal_that_nobody_means_as_its_end_ends_no_node(node: NodeProcess, name: str) -> None:
    with Frontend.connect(node.pg.port) as db:
        os.kill(node.pid, signal.Signals[name])
        assert db.query("SELECT 1").values() == [("1",)]
    with Frontend.connect(node.pg.port) as db:
        assert db.query("SELECT 2").values() == [("2",)], "new clients are served too"
    assert node.is_running


@pytest.mark.parametrize(
    ("name", "said"), [("SIGHUP", "told to read again"), ("SIGUSR1", '\\"log_bytes\\":')]
)
def test_a_node_says_what_a_signal_has_made_it_do(node: NodeProcess, name: str, said: str) -> None:
    before = node.log.read_text().count(said)
    os.kill(node.pid, signal.Signals[name])
    wait_until(node, f"it says {said}", lambda: node.log.read_text().count(said) > before)


@pytest.mark.parametrize("command", [UNDER_NO_UMASK, UNDER_A_HARSH_UMASK], ids=["0", "0777"])
def test_files_are_their_owners_alone_whatever_the_umask(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with running_cluster(tmp_path, nodes=1, command=command) as cluster:
        [node] = cluster.nodes
        with Frontend.connect(node.pg.port) as db:
            db.query("CREATE TABLE kept (k int PRIMARY KEY)")
            db.query("INSERT INTO kept VALUES (1)")
        found = modes(node.directory)
        for path, mode in found.items():
            assert mode == (0o700 if Path(path).is_dir() else 0o600), f"{path} is {mode:04o}"
        assert len(found) > len(("n1", "LOCK", "CURRENT", "log", "tables", "candidate"))


def test_a_folder_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    open_to_all = tmp_path / "n1"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        assert node.directory == open_to_all
        assert modes(open_to_all)[str(open_to_all)] == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    code, said = refused(data)
    assert code == 3
    assert f"{data}: others may write to it (mode {mode:04o})" in said
    assert "chmod 700" in said
    assert list(data.iterdir()) == [], "nothing was put there"
    assert stat.S_IMODE(data.stat().st_mode) == mode


def test_a_formed_folder_that_others_may_write_to_is_refused_too(tmp_path: Path) -> None:
    with running_cluster(tmp_path, nodes=1) as cluster:
        [node] = cluster.nodes
        assert node.stop() == 0
        node.directory.chmod(0o770)
        code, said = refused(node.directory)
        assert code == 3
        assert "others may write to it" in said
        node.directory.chmod(0o700)
        node.start()
        node.wait_ready()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 12_345, 12_345)
    code, said = refused(data)
    assert code == 3
    assert f"{data}: it belongs to user 12345" in said
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("name", ["thesis.tex", ".bashrc", "tables.txt", "\udcff"])
def test_a_folder_with_other_peoples_files_is_refused(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text("mine")
    code, said = refused(data)
    assert code == 3
    assert "which no node has put there" in said
    assert [path.name for path in data.iterdir()] == [name], "nothing was put beside it"
    assert (data / name).read_text() == "mine"


def test_a_fresh_file_system_is_nobodys_yet(tmp_path: Path) -> None:
    (tmp_path / "n1" / "lost+found").mkdir(parents=True)
    with running_cluster(tmp_path, nodes=1) as cluster:
        assert (cluster.nodes[0].directory / "lost+found").is_dir()


@pytest.mark.parametrize("name", ["a\n", "", "a b", "é", "n1\x1b[31m", "x" * 64, "a/b"])
def test_a_name_that_could_not_be_shown_is_usage(tmp_path: Path, name: str) -> None:
    code, said = refused(tmp_path / "data", "--name", name)
    assert code == 2
    assert "is no name" in said
    assert not (tmp_path / "data").exists()
