"""Write the bytes of the release at hand into a folder named after it; see README.md.

The node's directories and frames are made by the crates, the control plane's messages here.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from control_messages import MESSAGES

from phantomdb.wire import messages

HERE = Path(__file__).parent
# This test makes the bytes twice, and writes them into the folder that the variable names.
MAKER = "upgrade::make::the_maker_repeats_its_bytes"


def main() -> None:
    release = ".".join(version("phantomdb").split(".")[:2])
    folder = HERE / release
    if folder.exists():
        sys.exit(f"{folder} is there: what a release wrote is never changed")
    folder.mkdir()
    encoded = (messages.encode(message) for message in MESSAGES)
    control = b"".join(len(body).to_bytes(4, "big") + body for body in encoded)
    (folder / "control.bin").write_bytes(control)
    command = ["cargo", "test", "--locked", "-p", "phantom_reactor", "--test", "it", MAKER]
    environment = os.environ | {"PHANTOM_UPGRADE_OUT": str(folder)}
    subprocess.run([*command, "--", "--exact"], check=True, env=environment)
    if not (folder / "frames.bin").exists():
        sys.exit(f"{MAKER} has written nothing into {folder}")


if __name__ == "__main__":
    main()
