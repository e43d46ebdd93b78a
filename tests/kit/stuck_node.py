"""The shipped node with a Python that gets stuck: at SIGUSR2, until it is let go.

    stuck = Stuck(tmp_path)
    with running_cluster(tmp_path, command=stuck.command) as cluster, stuck.these(cluster.nodes):
        ...

Its only Python thread then waits in a read of a pipe, while it holds the lock of the interpreter
(`Stuck(.., holds_lock=True)`) or while it does not. Run as a program, this is that node.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from phantomdb.cli import main
from phantomdb.client.processes import NodeProcess
from phantomdb.node.world import RealWorld

#: How long a node may take to get stuck, in seconds.
STUCK_S = 45.0
LOOK_AGAIN_S = 0.01


class Stuck:
    """Makes nodes of which Python can be stopped."""

    def __init__(self, directory: Path, *, holds_lock: bool = False) -> None:
        self._directory = directory / "stuck"
        self._directory.mkdir()
        lock = "held" if holds_lock else "free"
        self.command = (sys.executable, __file__, str(self._directory), lock)

    @contextmanager
    def these(self, nodes: Sequence[NodeProcess]) -> Iterator[None]:
        """Have the Python of these nodes stuck meanwhile; who has ended needs no letting go."""
        for node in nodes:
            os.mkfifo(self._pipe(node))
            os.kill(node.pid, signal.SIGUSR2)
        try:
            for node in nodes:
                self._await(node)
            yield
        finally:
            for node in nodes:
                pipe = os.open(self._pipe(node), os.O_RDWR)
                os.write(pipe, b"!")
                if node.is_running:
                    _until(lambda node=node: not self._mark(node).exists(), f"{node.name} goes on")
                os.close(pipe)
                self._pipe(node).unlink()

    def _await(self, node: NodeProcess) -> None:
        _until(self._mark(node).exists, f"{node.name} is stuck")

    def _pipe(self, node: NodeProcess) -> Path:
        return self._directory / f"{node.name}.pipe"

    def _mark(self, node: NodeProcess) -> Path:
        return self._directory / f"{node.name}.stuck"


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + STUCK_S
    while not holds():
        assert time.monotonic() < end, f"not within {STUCK_S:g} s: {what}"
        time.sleep(LOOK_AGAIN_S)


def _get_stuck(directory: Path, name: str, *, holds_lock: bool) -> None:
    pipe = os.open(directory / f"{name}.pipe", os.O_RDWR)
    mark = directory / f"{name}.stuck"
    mark.touch()
    if holds_lock:
        # Functions of a PyDLL are called with the lock.
        ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
    else:
        os.read(pipe, 1)
    os.close(pipe)
    mark.unlink()


def _run() -> None:
    directory, lock, *arguments = sys.argv[1:]
    name = arguments[arguments.index("--name") + 1]
    ignore = RealWorld.ignore_stray_signals

    def get_stuck(*_: object) -> None:
        _get_stuck(Path(directory), name, holds_lock=lock == "held")

    def ignore_all_but_ours() -> None:
        ignore()
        signal.signal(signal.SIGUSR2, get_stuck)

    setattr(RealWorld, "ignore_stray_signals", staticmethod(ignore_all_but_ours))  # noqa: B010 - a checker refuses to assign it
    main(["start", *arguments])


if __name__ == "__main__":
    _run()
