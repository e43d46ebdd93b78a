"""How nodes that were started with the same `--join` list become one cluster.

1. A node without data has a random name of its own, durable in its directory, and asks every
   address of the list who it is.
2. All answer with a name, the same list and no cluster: the node with the lowest address sends the
   others a `Form`; its hash is the cluster. A node accepts one formation in its life, durably
   before it answers.
3. Somebody answers with a `Form`: a cluster was formed before. A node that it names (by name, not
   by address: a wiped disk is a new node) accepts it too; others are told that they are not
   members.
4. Otherwise it waits and says for whom. One list cannot make two clusters: each needs a majority,
   and a node accepts one.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from phantomdb.base.errors import PhantomError, UsageError
from phantomdb.base.world import Address, Random
from phantomdb.wire import messages
from phantomdb.wire.messages import Candidate, Form, Formed, MalformedMessage, Message, Probe

logger = logging.getLogger(__name__)

#: How long one address may take to answer, in seconds.
ASK_S = 2.0
#: Between two rounds of questions, in seconds.
ROUND_S = 0.25
#: How often it is said for whom we wait, in seconds.
SAY_S = 5.0
#: Sizes of a cluster that the launcher forms.
SIZES = (1, 3)

#: Asks whoever is at an address; raises `OSError` if nobody answers, `MalformedMessage`.
Ask = Callable[[Address, Message], Awaitable[Message]]


class NotAMember(PhantomError, sqlstate="08004"):
    """The cluster of the list was formed without this node."""


@dataclass(frozen=True, slots=True)
class Self:
    """A node before it is formed."""

    uuid: bytes
    name: str
    peer: Address
    pg: Address
    admin: Address


def check_list(join: Sequence[Address], own: Address) -> tuple[Address, ...]:
    """Return the list in its order; raises `UsageError` for one that cannot be meant."""
    members = tuple(sorted(set(join)))
    if len(members) != len(join):
        raise UsageError("--join names an address twice", hint="Name each node once.")
    if len(members) not in SIZES:
        raise UsageError(
            f"--join names {len(members)} nodes; a cluster has 1 or 3",
            hint="Give the same three peer addresses to each of three nodes.",
        )
    if own not in members:
        raise UsageError(
            f"--join does not name this node, {own}",
            hint="List the --listen-peer addresses of all nodes, this one among them.",
        )
    return members


def hash_of_list(members: Sequence[Address]) -> bytes:
    """Return what nodes compare to know that they were given the same list."""
    return hashlib.sha256("\n".join(str(member) for member in sorted(members)).encode()).digest()


def cluster_of(form: Form) -> int:
    """Return the cluster that a formation makes: 64 bits of its hash, never 0."""
    digest = hashlib.sha256(messages.encode(form)).digest()
    return int.from_bytes(digest[:8], "big") or 1


def answer_as_member(form: Form, message: Message) -> Message:
    """Answer a question of formation as a node that has accepted `form`, in this life or before."""
    if isinstance(message, Probe):
        return form
    if isinstance(message, Form):
        return Formed(cluster_of(message).to_bytes(8, "big"), message == form)
    raise MalformedMessage(f"{type(message).__name__} is no question of formation")


class Formation:
    """Forms a cluster, or finds the one that was formed; answers others who try the same."""

    def __init__(
        self,
        own: Self,
        members: Sequence[Address],
        random: Random,
        accept: Callable[[Form], None],
        ask: Ask,
    ) -> None:
        self._own = own
        self._members = members
        self._hash = hash_of_list(members)
        self._random = random
        self._accept = accept
        self._ask = ask
        self._form: Form | None = None
        self._formed = trio.Event()
        self._heard: dict[Address, str] = {}

    @property
    def missing(self) -> dict[str, str]:
        """Addresses that keep the cluster from being formed, and why."""
        return {str(address): why for address, why in self._heard.items() if why}

    def answer(self, message: Message) -> Message:
        """Answer a node that asks or that wants to form; an accepted formation is durable first."""
        if self._form is not None:
            return answer_as_member(self._form, message)
        if isinstance(message, Probe):
            return self._candidate()
        if isinstance(message, Form):
            return Formed(cluster_of(message).to_bytes(8, "big"), self._take(message))
        raise MalformedMessage(f"{type(message).__name__} before a cluster is formed")

    def _candidate(self) -> Candidate:
        own = self._own
        return Candidate(
            own.uuid,
            b"",
            self._hash,
            messages.PROTOCOL_MIN,
            messages.PROTOCOL_MAX,
            own.name,
            str(own.peer),
            str(own.pg),
            str(own.admin),
        )

    def _take(self, form: Form) -> bool:
        """Accept a formation that names this node; the same again changes nothing."""
        if self._form is not None:
            return self._form == form
        listed = form.listed()
        if form.list_hash != self._hash or all(m.uuid != self._own.uuid for m in listed):
            return False
        # One number and one name for each address of the list, and nothing else.
        numbered = [(m.node, m.peer) for m in listed]
        wanted = [(n, str(address)) for n, address in enumerate(self._members, start=1)]
        if numbered != wanted or len({m.uuid for m in listed}) < len(wanted):
            return False
        self._accept(form)
        self._form = form
        self._formed.set()
        return True

    async def run(self) -> None:
        """Return once this node is formed."""
        said = -SAY_S
        while self._form is None:
            answers = await self._ask_all()
            await self._decide(answers)
            if self._form is not None:
                return
            now = trio.current_time()
            if now - said >= SAY_S:
                said = now
                for address, why in self.missing.items():
                    logger.info("waiting for %s: %s", address, why)
            with trio.move_on_after(ROUND_S):
                await self._formed.wait()

    async def _ask_all(self) -> dict[Address, Message]:
        answers: dict[Address, Message] = {self._own.peer: self._candidate()}
        async with trio.open_nursery() as nursery:
            for address in self._members:
                if address != self._own.peer:
                    nursery.start_soon(self._ask_one, address, answers)
        return answers

    async def _ask_one(self, address: Address, answers: dict[Address, Message]) -> None:
        probe = Probe(self._own.uuid, self._hash, messages.PROTOCOL_MIN, messages.PROTOCOL_MAX)
        answer = await self._exchange(address, probe)
        if answer is not None:
            answers[address] = answer

    async def _exchange(self, address: Address, message: Message) -> Message | None:
        try:
            with trio.fail_after(ASK_S):
                return await self._ask(address, message)
        except (OSError, trio.TooSlowError):
            self._heard[address] = "does not answer"
        except MalformedMessage as error:
            self._heard[address] = f"does not speak this protocol ({error})"
        return None

    async def _decide(self, answers: dict[Address, Message]) -> None:
        if self._form is not None:
            return
        candidates: dict[Address, Candidate] = {}
        for address, answer in answers.items():
            if isinstance(answer, Form):
                if not self._take(answer):
                    raise NotAMember(
                        f"cluster {cluster_of(answer):016x} was formed without this node",
                        hint="A wiped directory is a new node; nodes cannot be added yet.",
                    )
                return
            if not isinstance(answer, Candidate):
                self._heard[address] = f"answers with {type(answer).__name__}"
            elif answer.list_hash != self._hash:
                self._heard[address] = "was given another --join list"
            else:
                self._heard[address] = ""
                candidates[address] = answer
        if len(candidates) < len(self._members):
            return
        uuids = {candidate.uuid for candidate in candidates.values()}
        if len(uuids) < len(candidates):
            raise UsageError(
                "two addresses of --join are one node, or two nodes share a directory",
                hint="Give each node a directory and an address of its own.",
            )
        if self._own.peer == min(self._members):
            await self._lead(candidates)

    async def _lead(self, candidates: dict[Address, Candidate]) -> None:
        """Propose the formation to all; this node accepts it first, so that it is not lost."""
        members = [
            [number, c.uuid, c.name, str(address), c.pg_address, c.admin_address]
            for number, (address, c) in enumerate(sorted(candidates.items()), start=1)
        ]
        form = Form(self._random.randbytes(16), self._hash, members)
        assert self._take(form), "the lowest node is one of its own members"
        async with trio.open_nursery() as nursery:
            for address in candidates:
                if address != self._own.peer:
                    # Who does not hear of it now asks, and is answered with it.
                    nursery.start_soon(self._exchange, address, form)
