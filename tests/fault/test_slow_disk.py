"""Disks that are slow: syncs take as long as a preloaded library says (`kit/shims/slow_sync.c`)."""

import os
import subprocess
import sys
from pathlib import Path

from kit.shims.troubled import build_slow_sync

#: How long a process may take to do next to nothing, in seconds.
PATIENCE_S = 30.0
#: Longer than any test runs, in milliseconds.
FOR_EVER_MS = 600_000
SYNC_A_FILE = "import os, sys; print('begins', flush=True); os.fsync(os.open(sys.argv[1], 2))"


def test_the_library_lets_a_sync_that_hangs_go_on_when_it_is_told_so(tmp_path: Path) -> None:
    told = tmp_path / "told"
    told.write_text(f"{FOR_EVER_MS}\n")
    trouble = {
        "LD_PRELOAD": str(build_slow_sync(tmp_path)),
        "PHANTOM_SLOW_SYNC": str(told),
    }
    command = [sys.executable, "-c", SYNC_A_FILE, str(told)]
    with subprocess.Popen(command, env=os.environ | trouble, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        # It cannot end by itself, however late this is looked at.
        assert process.poll() is None
        told.write_text("0\n")
        assert process.wait(PATIENCE_S) == 0
