"""A process that behaves as a node does towards whoever starts it, or misbehaves in a given way.

    stand_in.py {good | silent | dying | stubborn | babbling | misplaced} --data D --name N ...

It serves `/cluster` with what `<data>.cluster` holds, or with itself alone, and no SQL.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    """Run until SIGTERM."""
    manner, *pairs = sys.argv[1:]
    options = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if manner == "dying":
        sys.stderr.write("something went wrong\n")
        sys.exit(6)
    end = signal.SIG_IGN if manner == "stubborn" else lambda *_: os._exit(0)
    signal.signal(signal.SIGTERM, end)
    listener = _listen(options["--listen-admin"])
    if manner == "babbling":
        _say("hello")
    elif manner != "silent":
        pg = "127.0.0.1:1" if manner == "misplaced" else options["--listen-pg"]
        _say(json.dumps({"node": options["--name"], "pg": pg}))
    while True:
        connection, _ = listener.accept()
        with connection:
            path = connection.recv(65_536).split(b" ")[1]
            body = _cluster(options) if path == b"/cluster" else b""
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _cluster(options: dict[str, str]) -> bytes:
    told = Path(options["--data"]).with_suffix(".cluster")
    if told.exists():
        return told.read_bytes()
    name = options["--name"]
    member = {
        "name": name,
        "role": "leader",
        "state": "running",
        "host": "127.0.0.1",
        "port": int(options["--listen-pg"].rpartition(":")[2]),
        "api_url": f"http://{options['--listen-admin']}/",
        "timeline": 3,
        "lag": 0,
    }
    replicas = [{"node": name, "applied": 7, "lag": 0}]
    groups = [{"id": n, "leader": name, "term": 3, "replicas": replicas} for n in (1, 2)]
    return json.dumps({"members": [member], "groups": groups}).encode()


def _listen(address: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(address.rpartition(":")[2])))
    listener.listen()
    return listener


if __name__ == "__main__":
    main()
