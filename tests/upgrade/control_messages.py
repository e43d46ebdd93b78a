"""One of each message of the control plane, as release 0.1 wrote them into `control.bin`."""

from phantomdb.wire import messages

MESSAGES: tuple[messages.Message, ...] = (
    messages.Probe(bytes(range(16)), b"list of addresses", 1, 1),
    messages.Candidate(
        bytes(range(16)),
        b"",
        b"list of addresses",
        1,
        1,
        "n1",
        "127.0.0.1:7001",
        "127.0.0.1:7101",
        "127.0.0.1:7201",
    ),
    messages.Form(
        b"a nonce of the lowest address",
        b"list of addresses",
        [[1, bytes(16), "n1", "127.0.0.1:7001", "127.0.0.1:7101", "127.0.0.1:7201"]],
    ),
    messages.Formed(bytes.fromhex("00c0ffee01234567"), accepted=True),
    messages.Hello(
        1, 1, "0.1.0", bytes.fromhex("00c0ffee01234567"), 2, 7, bytes(range(16)), 1, 111411200000000
    ),
    messages.Refusal("CLOCK", "the clocks are 300 ms apart; 250 are allowed"),
    messages.CancelSession(42, 99),
    messages.GroupReport([[2, 5, 1000, [[1, 1000], [2, 999], [3, 0]]]]),
)
