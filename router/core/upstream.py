"""Our registration with a gateway that wants one (RFC 3261 §10.2), kept up by one worker.

    state     event                      what happens                                     next
    OUT       begins, or it is time      REGISTER; until it is in, no calls go there      ASKING
    ASKING    200                        until when is stored; again at 3/4 of that       IN
    ASKING    401, 407                   sent again with credentials (`access`)           ASKING
    ASKING    423                        sent again with its Min-Expires                  ASKING
    ASKING    other, or silence          why is stored; again after 5 s, 10 s … 5 min     OUT or IN
    IN        it is time                 REGISTER; calls go on                            ASKING
    IN        what was granted is over   stored: no calls go there; event gateway:down    OUT
    ASKING    silence                    the next time at the next of its addresses       OUT or IN
    any       shutdown, reload           REGISTER with Expires 0; 2 s for its answer      GONE

A registration that was granted holds until its time is over, whatever becomes of a refresh. The
successor of a worker finds in live state until when that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from router.core.access import CHALLENGES, Access, told
from router.core.events import DOWN, UP
from router.core.flow import Flow, authority_of
from router.core.steering import call_id_of
from router.core.transactions.client_request import RequestClient
from router.core.transactions.layer import ClientTransaction
from router.core.verdicts import Target, same_places
from router.core.wheel import Timer, cancel
from router.sip.errors import SipError
from router.sip.grammar import parse_digits
from router.sip.message import Response
from router.sip.name_addr import NameAddr, parse_name_addr
from router.sip.render import render_request
from router.sip.uri import escape_user
from router.store.ops import GatewayNews
from router.store.records import GatewayState

if TYPE_CHECKING:
    from router.core.engine import Engine

ASKED_S = 3_600
MAX_S = 86_400
"""Whatever a gateway grants or demands, we ask again after a day."""
FIRST_RETRY_MS = 5_000
LAST_RETRY_MS = 300_000
MIN_REFRESH_MS = 1_000
SPREAD_MS = 1_000
"""First registrations are spread over this time, by the gateways' names."""
GOODBYE_MS = 2_000
REGISTERED, REFUSED, MISSED = "registered", "refused", "missed"
"""How a try to register ends, in metrics."""


class Upstream:
    """The registration with one gateway."""

    __slots__ = (
        "_access", "_asked_s", "_at", "_call_id", "_client", "_contact", "_cseq", "_engine",
        "_failures", "_flow", "_lapse", "_leaving", "_on_gone", "_raised", "_tag", "_timer",
        "_told_down", "_tries", "_until_ms", "_uri", "_user", "target",
    )

    def __init__(
        self, engine: Engine, target: Target, state: GatewayState | None,
        on_gone: Callable[[Upstream], None],
    ) -> None:
        """Begins; `state` is what live state says of the gateway, `on_gone` hears of the end."""
        login = target.login
        assert login is not None
        self._engine = engine
        self.target = target
        self._on_gone = on_gone
        self._access = Access(engine, target, login)
        self._user = escape_user(login.username)
        self._aim()
        self._tag = engine.token()
        self._call_id = call_id_of(engine.slot, self._tag)
        self._asked_s = ASKED_S
        self._cseq = self._tries = self._failures = self._raised = 0
        self._leaving = self._told_down = False
        self._lapse: Timer | None = None
        self._client: RequestClient | None = None  # of the last REGISTER; only its end counts
        now = engine.layer.now
        self._until_ms = 0
        if state is not None and not state.unregistered and state.registered_until_ms > now:
            self._granted(state.registered_until_ms)
        else:
            engine.ask(GatewayNews(target.key, unregistered=True, registered_until_ms=0), None)
        spread = crc32(target.name.encode()) % SPREAD_MS
        self._timer: Timer = engine.layer.wheel.at(now + spread, Upstream._register, self)

    def _aim(self) -> None:
        """Registers at the first of the gateway's addresses, as they stand now."""
        at = self._at = next(iter(self.target.contacts), self.target)
        engine = self._engine
        listener = engine.listener_for(at.transport)
        self._flow = Flow(at.transport, at.host, at.port, listener)
        transport = "" if at.transport == "udp" else f";transport={at.transport}"
        self._uri = f"sip:{authority_of(at.host, at.port)}{transport}"
        self._contact = f"sip:{self._user}@{engine.hosts[listener]}{transport}"

    def goes_on(self, target: Target) -> bool:
        """Whether this registration is what the gateway of a new configuration wants."""
        mine = self.target
        return same_places(mine, target) and mine.login == target.login and target.registers

    def leave(self) -> None:
        """Takes the registration back; `on_gone` hears when that is done, or cannot be."""
        cancel(self._timer)
        cancel(self._lapse)
        self._lapse = None
        self._leaving = True
        layer = self._engine.layer
        if self._client is None:
            self._gone()
            return
        self._timer = layer.wheel.at(layer.now + GOODBYE_MS, Upstream._gone, self)
        self._tries = 0
        self._send()

    def _gone(self) -> None:
        cancel(self._timer)
        if self._on_gone is not _nobody:
            on_gone, self._on_gone = self._on_gone, _nobody
            on_gone(self)

    # -- asking -----------------------------------------------------------------------------------

    def _register(self) -> None:
        self._aim()
        self._tries = self._raised = 0
        self._send()

    def _send(self) -> None:
        engine = self._engine
        branch = "z9hG4bK" + engine.token()
        self._cseq += 1
        listener = self._flow.listener
        who = f"<sip:{self._user}@{_domain(self._at)}>"
        data = render_request(
            "REGISTER", self._uri,
            f"{engine.vias[listener]}{branch};rport\r\nMax-Forwards: 70\r\n"
            f"From: {who};tag={self._tag}\r\nTo: {who}\r\nCall-ID: {self._call_id}\r\n"
            f"CSeq: {self._cseq} REGISTER\r\n",
            f"Contact: <{self._contact}>\r\n"
            f"Expires: {0 if self._leaving else self._asked_s}\r\n"
            + self._access.line("REGISTER", self._uri),
        )
        self._client = RequestClient(
            engine.layer, self, branch, self._flow, "REGISTER", data
        )

    # -- what comes back --------------------------------------------------------------------------

    def on_response(self, client: ClientTransaction, response: Response) -> None:
        """The answer to a REGISTER."""
        status = response.status
        if status < 200 or client is not self._client:
            return
        if status in CHALLENGES and self._access.may_answer(response, self._tries):
            self._tries += 1
            self._send()
        elif self._leaving:
            self._gone()
        elif status < 300:
            self._on_success(self._client, response)
        elif status == 423 and self._longer(response):
            self._tries = 0
            self._send()
        else:
            self._on_failure(told(response), response.get("retry-after"))

    def on_timeout(self, client: ClientTransaction) -> None:
        """No answer."""
        self._on_silence(client, "no answer to REGISTER")

    def on_transport_error(self, client: ClientTransaction) -> None:
        """The gateway cannot be reached."""
        self._on_silence(client, "it cannot be reached")

    def _on_silence(self, client: ClientTransaction, why: str) -> None:
        if client is not self._client:
            return
        if self._leaving:
            self._gone()
        else:
            self._engine.policy.silent(self._at)
            self._on_failure(why, "", MISSED)

    def _longer(self, response: Response) -> bool:
        """Takes a Min-Expires (RFC 3261 §10.2.8); False when there is none that helps."""
        least = parse_digits(response.get("min-expires"), MAX_S)
        if least is None or least <= self._asked_s or self._raised:
            return False
        self._raised += 1
        self._asked_s = least
        return True

    def _on_success(self, client: RequestClient, response: Response) -> None:
        engine, target = self._engine, self.target
        granted_s = self._granted_s(response)
        if granted_s <= 0:
            self._on_failure("registered for no time at all", "")
            return
        self._failures = 0
        now = engine.layer.now
        tally = engine.tally
        tally.registrations[target.name, REGISTERED] += 1
        tally.registration_delay[target.name].observe((now - client.sent_ms) / 1000)
        was_in = self._until_ms > now
        until_ms = now + granted_s * 1_000
        self._granted(until_ms)
        self._timer = engine.layer.wheel.at(
            now + max(granted_s * 750, MIN_REFRESH_MS), Upstream._register, self
        )
        engine.ask(
            GatewayNews(
                target.key, unregistered=False, registered_until_ms=until_ms, trouble=""
            ),
            None,
        )
        if not was_in:
            engine.log("info", "registered", gateway=target.name, seconds=granted_s)
        if self._told_down:
            self._told_down = False
            engine.events.tell(UP, target)

    def _granted_s(self, response: Response) -> int:
        """For how many seconds our Contact is registered: its own word, else the header's."""
        contacts = [one for one in map(_address, response.values("contact")) if one is not None]
        ours = [one for one in contacts if one.uri.lower() == self._contact.lower()]
        chosen = ours or (contacts if len(contacts) == 1 else [])
        said = chosen[0].params.get("expires") if chosen else None
        if said is None:
            said = response.get("expires")
        granted = parse_digits(said, MAX_S)
        return self._asked_s if granted is None else granted

    def _granted(self, until_ms: int) -> None:
        self._until_ms = until_ms
        cancel(self._lapse)
        self._lapse = self._engine.layer.wheel.at(until_ms, Upstream._on_lapse, self)

    def _on_failure(self, why: str, retry_after: str, result: str = REFUSED) -> None:
        engine, target = self._engine, self.target
        engine.tally.registrations[target.name, result] += 1
        delay = min(FIRST_RETRY_MS << min(self._failures, 10), LAST_RETRY_MS)
        self._failures += 1
        digits = retry_after.partition(";")[0].partition("(")[0].strip()
        asked_ms = (parse_digits(digits, MAX_S) or 0) * 1_000
        now = engine.layer.now
        self._timer = engine.layer.wheel.at(now + max(delay, asked_ms), Upstream._register, self)
        engine.log("warning", "registration failed", gateway=target.name, reason=why)
        engine.ask(GatewayNews(target.key, trouble=f"registration failed: {why}"), None)
        if not self._until_ms:
            self._tell_down()

    def _on_lapse(self) -> None:
        """What was granted is over, and no refresh came through."""
        engine, target = self._engine, self.target
        self._lapse = None
        self._until_ms = 0
        engine.log("warning", "registration is over", gateway=target.name)
        engine.ask(GatewayNews(target.key, unregistered=True, registered_until_ms=0), None)
        self._tell_down()

    def _tell_down(self) -> None:
        if not self._told_down:
            self._told_down = True
            self._engine.events.tell(DOWN, self.target)


def _nobody(_: Upstream) -> None:
    """Whoever was to hear of the end has heard of it."""


def _address(value: str) -> NameAddr | None:
    try:
        return parse_name_addr(value)
    except SipError:
        return None


def _domain(target: Target) -> str:
    """The domain in which the gateway knows us: its address; a port that is not SIP's stays out."""
    return f"[{target.host}]" if ":" in target.host else target.host
