import os
import shlex
import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from phantomdb.cli.cert import cert


def run(*words: str) -> Result:
    return CliRunner().invoke(cert, words, catch_exceptions=False)


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    folder = tmp_path / "made" / "certs"
    assert run("authority", "--certs", str(folder), "--cluster", "bank").exit_code == 0
    return folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_keys_are_their_owners_alone_whatever_the_umask(certs: Path):
    before = os.umask(0)
    try:
        assert run("node", "n1", "--host", "n1.example", "--certs", str(certs)).exit_code == 0
        os.umask(0o777)
        into = certs.parent / "alice"
        into.mkdir(mode=0o700)
        into.chmod(0o700)
        told = run("client", "alice", "--certs", str(certs), "--into", str(into))
        assert told.exit_code == 0
    finally:
        os.umask(before)
    node = certs / "nodes" / "n1"
    assert [mode(path) for path in (certs.parent, certs, node.parent, node)] == [0o700] * 4
    assert [mode(path) for path in (certs / "ca.key", node / "node.key")] == [0o600] * 2
    assert mode(into / "client.key") == 0o600
    assert mode(into / "client.crt") == mode(node / "node.crt") == 0o644
    assert {path.name for path in node.iterdir()} == {"node.key", "node.crt", "ca.crt"}


def test_a_key_belongs_to_its_certificate(certs: Path):
    run("client", "alice", "--certs", str(certs))
    folder = certs / "clients" / "alice"
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "client.crt", folder / "client.key")


def test_what_is_printed_is_what_is_typed_next(certs: Path):
    told = run("node", "n1", "--host", "n1.example", "--certs", str(certs))
    command = f"phantomdb start --name n1 --certs {certs}/nodes/n1"
    assert shlex.split(told.output) == command.split()
    psql, connection = shlex.split(run("client", "alice", "--certs", str(certs)).output)
    assert psql == "psql"
    files = dict(word.split("=") for word in connection.split())
    assert Path(files["sslcert"]).exists()
    assert files["user"] == "alice"


def test_nothing_is_overwritten(certs: Path):
    verbs = [["authority"], ["node", "n1", "--host", "a"], ["client", "alice"]]
    for verb in verbs:
        run(*verb, "--certs", str(certs))
        before = {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()}
        told = run(*verb, "--certs", str(certs))
        assert told.exit_code == 3
        assert "is there already" in told.output
        assert {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["node", "n1", "--host", "a", "--certs", "nowhere"], 3, "cert authority` makes"),
        (["client", "alice", "--certs", "nowhere"], 3, "cannot be read"),
        (["node", "n 1", "--host", "a"], 2, "no name of a node"),
        (["node", "n1", "--host", "a:1"], 2, "without a port"),
        (["node", "n1"], 2, "reached somewhere"),
        (["client", "a/b"], 2, "--into"),
        (["client", ".."], 2, "--into"),
        (["client", ""], 2, "1 to 63 bytes"),
        (["client", "alice", "--days", "4000"], 3, "--days 36"),
        (["client", "alice", "--days", "0"], 2, "--days"),
    ],
)
def test_an_error_says_what_to_do(certs: Path, words: list[str], code: int, says: str):
    own = words if "--certs" in words else [*words, "--certs", str(certs)]
    told = run(*own)
    assert (told.exit_code, says in " ".join(told.output.split())) == (code, True), told.output
    assert not [path for path in certs.iterdir() if path.name not in ("ca.crt", "ca.key")]


def test_an_authority_of_no_name_is_none(tmp_path: Path):
    told = run("authority", "--certs", str(tmp_path), "--cluster", "x" * 64)
    assert told.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    told = run("authority", "--certs", str(tmp_path / "file"))
    assert told.exit_code == 3
    assert "cannot be written to" in told.output
