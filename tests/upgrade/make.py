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
MAKER = "upgrade::make::makes_the_fixture_of_this_release"


def main() -> None:
    release = ".".join(version("phantomdb").split(".")[:2])
    folder = HERE / release
    if folder.exists():
        sys.exit(f"{folder} is there: what a release wrote is never changed")
    folder.mkdir()
    encoded = (messages.encode(message) for message in MESSAGES)
    control = b"".join(len(body).to_bytes(4, "big") + body for body in encoded)
    (folder / "control.bin").write_bytes(control)
    command = ["cargo", "test", "--locked", "-p", "phantom_node", "--test", "it", MAKER]
    environment = os.environ | {"PHANTOM_UPGRADE_OUT": str(folder)}
    subprocess.run([*command, "--", "--exact", "--ignored"], check=True, env=environment)


if __name__ == "__main__":
    main()
