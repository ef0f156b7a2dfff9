"""What all transactions stand on: the two tables, the wheel, the queue of sends and the time.

Knows no call and no dialog. Sends are queued, never made: the driver sends them after the store
has committed what justifies them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from router.core.flow import Flow
from router.core.parameters import TimerDefaults
from router.core.tally import Tally
from router.core.wheel import Wheel
from router.sip.message import Response

if TYPE_CHECKING:
    from router.core.transactions.client_invite import InviteClient
    from router.core.transactions.client_request import RequestClient
    from router.core.transactions.server_invite import InviteServer
    from router.core.transactions.server_request import RequestServer

ClientTransaction: TypeAlias = "InviteClient | RequestClient"
ServerTransaction: TypeAlias = "InviteServer | RequestServer"


class ClientUser(Protocol):
    """Who asked for a client transaction and hears how it goes."""

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """A response that is not a retransmission, but for a repeated 2xx to INVITE."""

    def on_timeout(self, client: ClientTransaction) -> None:
        """Timer B or F: no final response came in 64*T1."""

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The request could not be delivered (RFC 3261 §8.1.3.1: as if a 503)."""


class Expecting(Protocol):
    """Whoever waits for responses under a branch and a method: a client transaction, or a ping."""

    @property
    def flow(self) -> Flow:
        """Where its request went."""

    @property
    def user(self) -> object:
        """Who hears of the response in the end."""

    def on_response(self, response: Response) -> None:
        """A response with its branch and method."""

    def on_transport_error(self) -> None:
        """Its request could not be delivered."""


class ServerUser(Protocol):
    """Who answers a server INVITE transaction."""

    def on_cancel(self, server: InviteServer) -> None:
        """The caller gave up (RFC 3261 §9.2)."""

    def on_no_ack(self, server: InviteServer) -> None:
        """A 2xx was resent for 64*T1 and no ACK came (RFC 3261 §13.3.1.4)."""


class TransactionLayer:
    """The state shared by every transaction of one worker."""

    __slots__ = (
        "calling", "clients", "now", "requests", "responses", "sends", "servers", "t1", "t2", "t4",
        "tally", "timeout", "wheel",
    )

    def __init__(self, timers: TimerDefaults, tally: Tally, now_ms: int) -> None:
        self.clients: dict[str, Expecting] = {}
        self.servers: dict[str, ServerTransaction] = {}
        # INVITEs over UDP without any response yet, by peer and branch
        self.calling: dict[tuple[str, int], dict[str, InviteClient]] = {}
        self.wheel = Wheel(now_ms)
        self.sends: list[tuple[bytes, Flow]] = []
        self.now = now_ms
        self.tally = tally
        self.requests = tally.requests
        self.responses = tally.responses
        self.use(timers)

    def use(self, timers: TimerDefaults) -> None:
        """The timers of transactions from here on; those that run keep their next deadline."""
        self.t1 = timers.t1_ms
        self.t2 = timers.t2_ms
        self.t4 = timers.t4_ms
        self.timeout = 64 * timers.t1_ms

    def send_request(self, data: bytes, flow: Flow, method: str) -> None:
        """Queues a request and counts it."""
        self.sends.append((data, flow))
        counts = self.requests
        key = (method, "out")
        counts[key] = counts.get(key, 0) + 1

    def send_response(self, data: bytes, flow: Flow, method: str, status: int) -> None:
        """Queues a response and counts it."""
        self.sends.append((data, flow))
        counts = self.responses
        key = (method, status, "out")
        counts[key] = counts.get(key, 0) + 1

    def resend(self, data: bytes, flow: Flow) -> None:
        """Queues a message that was sent before."""
        self.sends.append((data, flow))
        self.tally.retransmissions += 1
