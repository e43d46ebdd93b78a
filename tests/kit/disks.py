"""Small disks of their own for nodes: ext4 images, mounted where a node keeps its data.

    with small_disks(tmp_path, ["n1", "n2", "n3"]) as disks:
        with running_cluster(tmp_path) as cluster:
            disks["n2"].fill(leave=100 << 20)
            disks["n2"].empty()

Mounting takes root, and in a container leave and loop devices; without them a test is skipped. On
the way out every image is unmounted, whatever happened inside; nodes must have ended by then.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

#: A node keeps 256 MiB of it in reserve.
DISK_BYTES = 700 << 20
#: How long one of the system's commands may take, in seconds.
COMMAND_S = 60.0
#: Ballast is written in pieces of so many bytes where it is not reserved at once.
PIECE_BYTES = 4096


class SmallDisk:
    """A mounted image, with a file of ballast."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self._ballast = mount / "ballast"

    @property
    def free(self) -> int:
        """What may still be written, in bytes."""
        disk = os.statvfs(self.mount)
        return disk.f_bavail * disk.f_frsize

    def fill(self, *, leave: int) -> None:
        """Take room until no more than `leave` bytes are free; 0 is to the last block."""
        with self._ballast.open("ab") as ballast:
            while (surplus := self.free - leave) > 0:
                try:
                    # The file's own map takes blocks too, so the last of it comes in pieces.
                    step = max(PIECE_BYTES, surplus // 2)
                    os.posix_fallocate(ballast.fileno(), ballast.tell(), step)
                    ballast.seek(0, os.SEEK_END)
                except OSError:
                    if not leave:
                        return  # ENOSPC: it is full.
                    raise

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink()


@contextmanager
def small_disks(directory: Path, names: Sequence[str]) -> Iterator[dict[str, SmallDisk]]:
    """Mount a disk at `directory / name` for each name."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk image takes root")
    with ExitStack() as mounted:
        disks = {}
        for name in names:
            image, mount = directory / f"{name}.img", directory / name
            mount.mkdir()
            with image.open("wb") as file:
                file.truncate(DISK_BYTES)
            _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            _run("mount", "-o", "loop", str(image), str(mount))
            mounted.callback(_run, "umount", str(mount))
            disks[name] = SmallDisk(mount)
        yield disks


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, timeout=COMMAND_S, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
