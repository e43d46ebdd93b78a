"""A second reader of a release's files, made from docs/format.md alone: its drawings are true.

It shares nothing with the crates, so what both read the same way is what is drawn. All of the
kept directories is read but a torn end: headers, frames, records, edits, tables to the last entry.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cbor2
import pytest

RELEASES = sorted(path for path in Path(__file__).parent.iterdir() if (path / "stopped").exists())
DIRECTORIES = [release / kind for release in RELEASES for kind in ("stopped", "killed")]
HEADER = 64
PAGE = 32 << 10
APPEND, STATE, NODE, RELEASE, IDLE, TRAILER = 2, 4, 5, 6, 8, 9
PUT, DELETE = 1, 2
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def crc32c(data: bytes, seed: int = 0) -> int:
    """Return the CRC-32C of `data`, going on from `seed`."""
    crc = ~seed & 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return ~crc & 0xFFFFFFFF


def take(data: bytes, form: str) -> tuple[tuple[int, ...], bytes]:
    """Return little-endian numbers from the beginning, and the rest."""
    size = struct.calcsize(f"<{form}")
    return struct.unpack_from(f"<{form}", data), data[size:]


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


@dataclass(frozen=True)
class Header:
    """A file header."""

    database: bytes
    file: int
    base: int

    @classmethod
    def read(cls, data: bytes, magic: bytes) -> "Header":
        """Read the first 64 bytes."""
        assert data[:8] == magic
        (form, flags), _ = take(data[8:], "HH")
        assert (form, flags) == (1, 0)
        assert data[12:16] == bytes(4)
        assert data[48:60] == bytes(12)
        (file, base), _ = take(data[32:], "QQ")
        (checksum,), _ = take(data[60:], "I")
        assert checksum == crc32c(data[:60])
        return cls(data[16:32], file, base)


def records(data: bytes, header: Header) -> Iterator[tuple[int, bytes]]:
    """Give the records of a framed file; what is behind the last one is a torn end."""
    at, parts = HEADER, b""
    while at < len(data):
        room = PAGE - at % PAGE
        if room < 24:
            assert data[at : at + room] == bytes(room)
            at += room
            continue
        (checksum, length, part, kind, lsn, durable), _ = take(data[at:], "IHBBQQ")
        end = at + 24 + length
        if checksum != crc32c(data[at + 4 : end], crc32c(header.database)):
            return
        assert lsn == header.base + at
        assert durable <= lsn
        assert at // PAGE == (end - 1) // PAGE, "a frame lies in one page"
        assert (part in (MIDDLE, LAST)) == bool(parts)
        parts += data[at + 24 : end]
        if part in (WHOLE, LAST):
            yield kind, parts
            parts = b""
        at = end


def operations(data: bytes) -> int:
    """Read packed operations; return how many."""
    count = 0
    while data:
        (kind, flags, keyspace, key, value), data = take(data, "BBHII")
        assert kind in (PUT, DELETE)
        assert flags == 0
        assert keyspace in (1, 2, 3, 4)
        assert kind == PUT or value == 0
        data = data[key + value :]
        count += 1
    return count


def entry(data: bytes) -> None:
    """Read one entry of a group."""
    (kind, flags, zero, epoch, closed), body = take(data, "BBHIQ")
    assert (flags, zero, epoch, closed) == (0, 0, 0, 0)
    if kind == 0:
        assert not body
        return
    assert kind == 1
    (count,), rest = take(body[16:], "I")
    assert operations(rest[8 * count :]) > 0


def record(kind: int, payload: bytes) -> None:
    """Read one record of the log."""
    if kind == APPEND:
        (stream, first), rest = take(payload, "QQ")
        assert stream in (1, 2)
        assert first > 0
        while rest:
            (_, length), rest = take(rest, "QI")
            entry(rest[:length])
            rest = rest[length:]
    elif kind == STATE:
        (_, slot), rest = take(payload, "QH")
        assert slot in (0, 1)
        (count,), _ = take(rest, "H")
        assert len(rest) == (32 if slot == 0 else 2 + 8 * count)
    elif kind == NODE:
        (slot,), rest = take(payload, "Q")
        assert slot in (1, 2, 3, 4)
        assert len(rest) == {2: 4, 3: 8}.get(slot, len(rest))
    elif kind == RELEASE:
        assert len(payload) == 24
    else:
        assert kind in (IDLE, TRAILER)
        assert not payload


def edits(data: bytes) -> dict[int, int]:
    """Read the edits of a manifest; return its tables and their sizes."""
    tables: dict[int, int] = {}
    for kind, payload in records(data, Header.read(data, b"PHANTMAN")):
        assert kind in (1, 2)
        rest = payload
        while rest:
            (tag,), rest = take(rest, "B")
            forms = {1: "Q", 2: "Q", 3: "Q", 4: "QQ", 5: "HBQQ", 6: "HBQ", 7: "HB"}
            fields, rest = take(rest, forms[tag])
            if tag == 5:
                tables[fields[2]] = fields[3]
            elif tag == 6:
                del tables[fields[2]]
    return tables


def unpacked(data: bytes, offset: int, length: int, file: int) -> bytes:
    """Return the content of a part of a table."""
    stored = data[offset : offset + length]
    (codec, raw, checksum), _ = take(stored[-9:], "BII")
    assert checksum == crc32c(stored[:-4], crc32c(struct.pack("<QQ", file, offset)))
    content = stored[:-9] if codec == 0 else lz4(stored[:-9])
    assert codec in (0, 1)
    assert len(content) == raw
    return content


def lz4(packed: bytes) -> bytes:
    """Unpack a block of LZ4: literals, then a copy of what was before, again and again."""
    out, at = bytearray(), 0
    while at < len(packed):
        token, at = packed[at], at + 1
        literals, at = _more(packed, at, token >> 4)
        out += packed[at : at + literals]
        at += literals
        if at == len(packed):
            break
        back, at = int.from_bytes(packed[at : at + 2], "little"), at + 2
        copied, at = _more(packed, at, token & 15)
        for _ in range(copied + 4):
            out.append(out[-back])
    return bytes(out)


def _more(packed: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            byte, at = packed[at], at + 1
            length += byte
            if byte < 255:
                break
    return length, at


def entries(block: bytes) -> list[tuple[bytes, int]]:
    """Read a data block; return its keys and tags, after checking its restarts."""
    restarts = int.from_bytes(block[-4:], "little")
    offsets, _ = take(block[-4 - 4 * restarts :], f"{restarts}I")
    found, key, at, starts = [], b"", 0, []
    while at < len(block) - 4 - 4 * restarts:
        starts.append(at)
        shared, at = varint(block, at)
        unshared, at = varint(block, at)
        value, at = varint(block, at)
        tag, at = varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared + value
        assert tag & 0xFF in (PUT, DELETE)
        found.append((key, tag))
    assert list(offsets) == starts[::8]
    return found


def table(data: bytes, file: int) -> None:
    """Read a table to its last entry."""
    footer = data[-64:]
    assert footer[:8] == b"PHANTTBL"
    fields, _ = take(footer[8:], "HHIQQIIQQII")
    (
        form,
        flags,
        filter_len,
        filter_at,
        index_at,
        index_len,
        last_len,
        last_at,
        number,
        zero,
        crc,
    ) = fields
    assert (form, flags, number, zero) == (1, 0, file, 0)
    assert crc == crc32c(footer[:60])
    assert filter_at + filter_len == index_at
    assert index_at + index_len == last_at
    assert last_at + last_len == len(data) - 64
    assert len(unpacked(data, filter_at, filter_len, file)) % 64 == 0
    (_, _, count, _, _, _, _), rest = take(unpacked(data, last_at, last_len, file), "HBQQQQQ")
    (length,), rest = take(rest, "I")
    smallest, rest = rest[:length], rest[length:]
    (length,), rest = take(rest, "I")
    assert len(rest) == length
    index, found, behind = unpacked(data, index_at, index_len, file), [], 0
    while index:
        (length,), index = take(index, "I")
        key, index = index[:length], index[length:]
        (tag, offset, size), index = take(index, "QQI")
        assert offset == behind
        behind = offset + size
        found += entries(unpacked(data, offset, size, file))
        assert found[-1] == (key, tag)
    assert behind == filter_at
    assert len(found) == count
    assert (found[0][0], found[-1][0]) == (smallest, rest)
    assert found == sorted(found, key=lambda entry: (entry[0], -entry[1]))


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda d: f"{d.parent.name}-{d.name}")
def test_a_directory_reads_as_it_is_drawn(directory: Path) -> None:
    current = (directory / "CURRENT").read_bytes()
    assert len(current) == HEADER
    head = Header.read(current, b"PHANTCUR")
    manifest = (directory / f"manifest-{head.file:010}").read_bytes()
    assert Header.read(manifest, b"PHANTMAN") == Header(head.database, head.file, head.file << 40)
    listed = edits(manifest)
    assert {path.name for path in (directory / "tables").iterdir()} == {
        f"{file:010}.tbl" for file in listed
    }
    for file, size in listed.items():
        data = (directory / "tables" / f"{file:010}.tbl").read_bytes()
        assert len(data) == size
        table(data, file)
    segments = sorted((directory / "log").iterdir())
    for path in segments:
        data = path.read_bytes()
        header = Header.read(data, b"PHANTLOG")
        assert (header.database, header.file) == (head.database, int(path.stem))
        assert header.base % PAGE == 0
        found = list(records(data, header))
        for kind, payload in found:
            record(kind, payload)
        assert (found[-1][0] == TRAILER) or path == segments[-1]
    candidate = (directory / "candidate").read_bytes()
    assert candidate[:8] == b"phanname"
    assert candidate[24:] == crc32c(candidate[:24]).to_bytes(4, "little")
    assert (directory / "LOCK").read_bytes() == b""


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_frames_between_nodes_read_as_they_are_drawn(release: Path) -> None:
    data, kinds = (release / "frames.bin").read_bytes(), set()
    while data:
        assert data[:4] == b"\xf2\xd8\x01\x01"
        (_, source, target, _, _, length, checksum), sections = take(data[4:], "IIIIQII")
        sections, rest = sections[:length], sections[length:]
        assert source != target
        assert checksum == crc32c(data[:32] + sections)
        while sections:
            (kind, length), sections = take(sections, "BI")
            if kind == 8:
                (_, offset, total), piece = take(sections[:length], "QII")
                assert offset + len(piece) <= total
            kinds.add(kind)
            sections = sections[length:]
        data = rest
    assert kinds == {1, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_control_messages_read_as_they_are_drawn(release: Path) -> None:
    data, tags = (release / "control.bin").read_bytes(), []
    while data:
        length = int.from_bytes(data[:4], "big")
        fields, data = cbor2.loads(data[4 : 4 + length]), data[4 + length :]
        tags.append(fields[0])
        if fields[0] == 5:
            assert len(fields) == 10
            assert (len(fields[4]), len(fields[7])) == (8, 16)
    assert set(tags) <= set(range(1, 10))
    assert 5 in tags


def test_the_checksum_is_the_one_that_is_named() -> None:
    assert crc32c(b"123456789") == 0xE3069283
