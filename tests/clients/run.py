"""Run clients of other languages beside PostgreSQL 15, on each node of a cluster: they print alike.

    ci/clients

Each program takes a port and prints what it is told while a table is dropped and made anew with
another type under its prepared statements. pgjdbc must not be told of an error at all.
"""

import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from kit.cluster import running_cluster  # noqa: E402  # `kit` lies beside this folder.
from kit.servers import postgres  # noqa: E402  # As above.

#: Copies the driver's archive to where Java finds it.
FETCH_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
#: How each program is built, and run before its port.
PROGRAMS: dict[str, tuple[list[str], list[str]]] = {
    "node": (["npm", "ci", "--silent", "--no-audit", "--no-fund"], ["node", "becomes.js"]),
    "go": (["go", "build", "-o", "becomes", "."], ["./becomes"]),
    "java": (
        ["mvn", "-q", "-B", FETCH_JARS, "-DoutputDirectory=lib"],
        ["java", "-cp", "lib/*", "Becomes.java"],
    ),
}
#: Programs whose driver hides that a statement had to be prepared again.
HEALING = frozenset({"java"})
RUN_S = 300


def said(command: list[str], folder: Path, port: int) -> list[str]:
    """Return the lines that a program prints."""
    arguments = [*command, str(port)]
    done = subprocess.run(
        arguments, cwd=folder, check=True, stdout=subprocess.PIPE, text=True, timeout=RUN_S
    )
    return done.stdout.splitlines()


def main() -> None:
    """Build and run all; ends with 1 if some line differs."""
    differing = 0
    with TemporaryDirectory(prefix="clients-") as top, postgres() as oracle:
        for name, (build, _) in PROGRAMS.items():
            shutil.copytree(HERE / name, Path(top) / name)
            subprocess.run(build, cwd=Path(top) / name, check=True, timeout=RUN_S)
        with running_cluster(Path(top) / "cluster", nodes=3) as cluster:
            for name, (_, run) in PROGRAMS.items():
                wanted = said(run, Path(top) / name, oracle)
                for node in cluster.nodes:
                    found = said(run, Path(top) / name, node.pg.port)
                    pairs = zip_longest(wanted, found)
                    lines = [
                        f"  {ours!r}, not {theirs!r}" for theirs, ours in pairs if ours != theirs
                    ]
                    if name in HEALING:
                        lines += [f"  {line!r}" for line in found if "0A000" in line]
                    differing += len(lines)
                    head = f"{name}, port {node.pg.port}: {len(found)} lines"
                    sys.stdout.write("\n".join([head, *lines, ""]))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
