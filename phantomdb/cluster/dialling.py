"""How a node speaks to one that it has no link with: it dials, says one thing, is answered."""

from phantomdb.base.world import Address, Network
from phantomdb.core import NobodyAnswers, Reactor
from phantomdb.core.events import Answered
from phantomdb.wire import messages
from phantomdb.wire.messages import Candidate, MalformedMessage, Message


class Dialler:
    """Dials by name: the reactor knows numbers only, for to look a name up is to wait."""

    def __init__(self, reactor: Reactor, network: Network) -> None:
        self._reactor = reactor
        self._network = network

    async def dial(self, address: Address, message: Message) -> Answered:
        """Say something to whoever is at an address; the answer's connection is the caller's.

        Raises `OSError` if nobody answers at any of the addresses that the name has.
        """
        encoded = messages.encode(message)
        failed: OSError = NobodyAnswers(f"{address} has no address")
        for numeric in await self._network.resolve(address):
            try:
                return await self._reactor.dial(numeric, encoded)
            except NobodyAnswers as error:
                failed = error
        raise failed

    async def ask(self, address: Address, message: Message) -> Message:
        """Return the answer of whoever is at an address.

        Raises `OSError` if nobody answers, `MalformedMessage` for what is no answer.
        """
        answered = await self.dial(address, message)
        self._reactor.close(answered.connection)
        answer = messages.decode(answered.message)
        certified = answered.certified
        if isinstance(answer, Candidate) and certified not in (None, answer.name):
            raise MalformedMessage(f"{answer.name} shows the certificate of {certified}")
        return answer
