"""A transaction layer of its own for each test, in virtual time, and messages to feed it."""

from __future__ import annotations

from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.core.transactions.layer import TransactionLayer
from router.sip.message import Response, parse_message

T0 = 1_700_000_000_000
T1, T2, T4 = 500, 4_000, 5_000
TIMEOUT = 64 * T1
FLOWS = {
    "udp": Flow("udp", "10.0.0.9", 5060, 0),
    "tcp": Flow("tcp", "10.0.0.9", 5060, 1, 7, 0),
}


class Recorder:
    """The user of a transaction: keeps what it is told, by name."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_response(self, client: object, response: Response) -> None:
        self.heard.append(f"response {response.status}")

    def on_timeout(self, client: object) -> None:
        self.heard.append("timeout")

    def on_transport_error(self, client: object) -> None:
        self.heard.append("transport error")

    def on_cancel(self, server: object) -> None:
        self.heard.append("cancel")

    def on_no_ack(self, server: object) -> None:
        self.heard.append("no ack")


class Bench:
    """A layer, a user, and the time."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.flow = FLOWS[transport]
        self.layer = TransactionLayer(TimerDefaults(T1, T2, T4), Tally(), T0)
        self.user = Recorder()

    @property
    def now(self) -> int:
        return self.layer.now - T0

    def wait(self, ms: int) -> None:
        """Lets time pass, timer by timer."""
        end = self.layer.now + ms
        while True:
            due = self.layer.wheel.next_ms()
            if due is None or due > end:
                break
            self.layer.now = max(self.layer.now, due)
            for entry in self.layer.wheel.due(self.layer.now):
                function, argument = entry
                if function is not None:
                    entry[0] = entry[1] = None
                    function(argument)
        self.layer.now = end

    def sent(self) -> list[str]:
        """What was queued since the last time, in short: the method or the status."""
        sends, self.layer.sends = self.layer.sends, []
        assert all(flow == self.flow for _, flow in sends)
        return [_short(data) for data, _ in sends]

    def heard(self) -> list[str]:
        """What the user was told since the last time."""
        heard, self.user.heard = self.user.heard, []
        return heard


def _short(data: bytes) -> str:
    first = data.split(b" ", 2)
    return first[1].decode() if first[0] == b"SIP/2.0" else first[0].decode()


def response(status: int, method: str = "INVITE", tag: str = "b") -> Response:
    """A response as the layer's owner would hand it on."""
    message = parse_message(
        f"SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
        f"From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>;tag={tag}\r\nCall-ID: c\r\n"
        f"CSeq: 3 {method}\r\n\r\n".encode()
    )
    assert isinstance(message, Response)
    return message
