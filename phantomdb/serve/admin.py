"""The admin door: health and the cluster's state over HTTP.

| path | answer |
| --- | --- |
| `/liveness` | 200 while the process runs |
| `/readiness` | 200 once the node serves sessions and sees a leader of each group, else 503; its
  `state` is `serving`, `degraded` (not everything), `starting`, `stopping` or `stalled` (its disk
  does not answer); `why` says what for |
| `/cluster` | members as Patroni names them, and groups with their replicas |
| `/metrics` | Prometheus text |

A client that does not say what it wants in time is closed: its slot is another's.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

import trio

from phantomdb.base.settings import Limits
from phantomdb.base.world import Stream
from phantomdb.serve.health import ClusterHealth, Health
from phantomdb.wire.http import BadRequest, Connection, Request, Response

#: How much is read at once, in bytes.
READ_BYTES = 16 << 10


def answer(request: Request, health: Health) -> Response:
    """Answer one request."""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        return _json(405, {"error": f"{request.method} is not allowed"}, (("allow", "GET, HEAD"),))
    match request.path:
        case "/liveness":
            return _json(200, {"state": "running"})
        case "/readiness":
            told = health.readiness()
            why = {"why": told.why} if told.why else {}
            body = {"ready": told.ready, "state": told.state} | why
            return _json(200 if told.ready else 503, body)
        case "/cluster":
            return _json(200, _cluster(health.cluster()))
        case "/metrics":
            text, content_type = health.metrics()
            return Response(200, text, content_type)
        case _:
            paths = ["/liveness", "/readiness", "/cluster", "/metrics"]
            return _json(404, {"error": f"no {request.path} here", "paths": paths})


def _cluster(told: ClusterHealth) -> dict[str, object]:
    """Return the body of `/cluster`; a lag that nobody has told has Patroni's word for it."""
    members = [
        asdict(member) | {"lag": "unknown" if member.lag is None else member.lag}
        for member in told.members
    ]
    return asdict(told) | {"members": members}


def _json(
    status: int, value: Mapping[str, object], headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    return Response(status, json.dumps(value).encode() + b"\n", headers=headers)


def sessions(health: Callable[[], Health], limits: Limits) -> Callable[[Stream], Awaitable[None]]:
    """Return what serves one connection; `health` is asked for at each request."""

    async def serve_one(stream: Stream) -> None:
        connection = Connection()
        with trio.move_on_after(limits.handshake_s) as patience:
            while await _serve_next(connection, stream, health):
                patience.deadline = trio.current_time() + limits.idle_s

    return serve_one


async def _serve_next(connection: Connection, stream: Stream, health: Callable[[], Health]) -> bool:
    """Answer the next request; whether there may be another."""
    try:
        while (request := connection.next_request()) is None:
            connection.feed(bytes(await stream.receive_some(READ_BYTES)))
    except EOFError:
        return False
    except BadRequest as error:
        response = _json(error.status, {"error": str(error)}, (("connection", "close"),))
        await stream.send_all(connection.respond(response))
        return False
    response = answer(request, health())
    await stream.send_all(connection.respond(response, head_only=request.method == "HEAD"))
    return connection.may_go_on()
