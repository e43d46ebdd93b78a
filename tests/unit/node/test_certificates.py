"""When files are read, and what is done with those that will not do."""

import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from phantomdb.base.errors import Refused, UsageError
from phantomdb.base.settings import NodeSettings
from phantomdb.base.world import Address
from phantomdb.certificates import folders
from phantomdb.certificates.signing import Authority
from phantomdb.core import Security
from phantomdb.node.doors.certificates import Certificates

HERE = Address("127.0.0.1", 1)
SETTINGS = NodeSettings("d", "n1", 1, 1, (), (HERE,), (HERE,), HERE)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def authority() -> Authority:
    return Authority.make("bank", now=now(), days=100)


def make(authority: Authority, folder: Path, name: str = "n1", *, days: int = 90) -> NodeSettings:
    """Put a node's files into a folder, in place of older ones."""
    signed = authority.sign_node(name, ["localhost"], now=now(), days=days)
    shutil.rmtree(folder, ignore_errors=True)
    folders.write_node(folder, signed, authority.files.certificate)
    return replace(SETTINGS, certs=str(folder))


class FakeReactor:
    def __init__(self) -> None:
        self.given: list[Security] = []

    def secure(self, security: Security) -> None:
        self.given.append(security)


@pytest.fixture
def reactor() -> Any:
    return FakeReactor()


def test_a_node_without_files_has_no_certificate(reactor: Any) -> None:
    certificates = Certificates(SETTINGS)
    assert certificates.own is None
    certificates.check_member("any")
    certificates.renew(reactor)
    assert reactor.given == []


def test_files_that_will_not_do_end_the_start(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    settings = make(authority, folder)
    assert Certificates(settings).own is not None
    other = Authority.make("bank", now=now(), days=1)
    for file, content, why in [
        ("ca.crt", other.files.certificate, "would be refused: the certificate is of another"),
        ("node.key", other.files.key, "it is not that of node.crt"),
        ("node.crt", b"", "node.crt holds no certificate"),
        ("node.crt", None, "node.crt cannot be read: No such file"),
    ]:
        before = (folder / file).read_bytes()
        if content is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(content)
        with pytest.raises(UsageError, match=why):
            Certificates(settings)
        (folder / file).write_bytes(before)


def test_a_node_is_who_its_certificate_says(authority: Authority, tmp_path: Path) -> None:
    settings = make(authority, tmp_path / "n2", "n2")
    with pytest.raises(UsageError, match="the certificate of n2, and this node is n1"):
        Certificates(settings)
    certificates = Certificates(replace(settings, name="n2"))
    certificates.check_member("n2")
    with pytest.raises(Refused, match="was formed as old"):
        certificates.check_member("old")


def test_files_are_read_again_when_they_change(
    authority: Authority, tmp_path: Path, reactor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = make(authority, tmp_path / "n1", days=10)
    certificates = Certificates(settings)
    certificates.renew(reactor)
    assert (reactor.given, caplog.messages) == ([], [])
    make(authority, tmp_path / "n1", days=80)
    certificates.renew(reactor)
    assert reactor.given == [certificates.security]
    assert certificates.security.left_s > 79 * 86_400
    assert "are read again" in caplog.messages[-1]


def test_new_files_that_will_not_do_change_nothing_and_are_named_once(
    authority: Authority, tmp_path: Path, reactor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make(authority, tmp_path / "n1")
    certificates = Certificates(settings)
    before = certificates.security
    (tmp_path / "n1" / "node.crt").write_bytes(b"half")
    certificates.renew(reactor)
    certificates.renew(reactor)
    make(authority, tmp_path / "n1", "n2")
    certificates.renew(reactor)
    shutil.rmtree(tmp_path / "n1")
    certificates.renew(reactor)
    certificates.renew(reactor)
    assert (certificates.security, reactor.given) == (before, [])
    said = [message.partition(": ")[2] for message in caplog.messages]
    assert [text.split()[0] for text in said] == [
        "node.crt",
        "node.crt",
        str(tmp_path / "n1" / "node.crt"),
    ]
    # The same as in the beginning will do again.
    make(authority, tmp_path / "n1")
    certificates.renew(reactor)
    assert reactor.given == [certificates.security]


async def test_what_is_to_be_said_is_said_again_and_again(
    authority: Authority,
    tmp_path: Path,
    reactor: Any,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    del autojump_clock
    settings = make(authority, tmp_path / "n1", days=29)
    certificates = Certificates(replace(settings, is_insecure=True))
    with trio.move_on_after(2 * 86_400 - 1):
        await certificates.watch(reactor)
    insecure = [message for message in caplog.messages if "insecure" in message]
    soon = [message for message in caplog.messages if "ends soon" in message]
    assert (len(insecure), len(soon)) == (2 * 1_440, 2)
