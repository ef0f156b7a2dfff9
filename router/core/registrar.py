"""The registrar: what a phone says of where it can be reached (RFC 3261 §10.3).

    the REGISTER                                  answer
    has a Require that we do not know             420 Unsupported
    no Contact                                    200 with the contacts there are
    Contact: * without Expires: 0, or with others 400
    a Contact that cannot be read, no SIP URI     400
    more Contacts than a phone may have           403
    an expiry above 0 and below the least         423 Min-Expires
    older than what the same Call-ID has said     500 (step 7: nothing of it is done)
    a nonce that was used before                  401 stale
    the store cannot take it                      503 Retry-After
    else                                          200 with all contacts, after they are stored

Who may register is decided before, by routes. The phone is reached where its REGISTER came from,
whatever its Contact says: behind NAT that is the only way that works (the address for UDP, the
connection itself for streams), so no Path header (RFC 3327) is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from router.core.flow import Flow
from router.core.verdicts import Enroll
from router.sip.errors import SipError
from router.sip.grammar import parse_digits
from router.sip.message import Request
from router.sip.name_addr import NameAddr, parse_name_addr
from router.sip.uri import uri_host_port
from router.store.ops import Bind, Bound
from router.store.records import Contact

if TYPE_CHECKING:
    from router.core.engine import Engine
    from router.core.transactions.server_request import RequestServer

DEFAULT_EXPIRES_S = 3_600
SHORT_S = 3_600
"""RFC 3261 §10.3 step 7: only what is shorter than an hour may be too short."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)
MAX_EXPIRES = 0xFFFFFFFF
MAX_URI = 512
MAX_USER_AGENT = 128


class Registering:
    """One REGISTER on its way to the store."""

    __slots__ = ("_engine", "_enroll", "server")

    def __init__(self, engine: Engine, enroll: Enroll, server: RequestServer) -> None:
        self._engine = engine
        self._enroll = enroll
        self.server = server

    def on_stored(self, answer: Bound) -> None:
        """The contacts are stored, or may not be."""
        if answer.replayed:
            challenge = self._enroll.challenge()
            self._answer(challenge.status, "", challenge.extra)
        elif answer.refused:
            self._answer(500, "CSeq Out of Order", "Retry-After: 1\r\n")
        else:
            now_ms = self._engine.layer.now
            lines = "".join([_line(one, now_ms) for one in answer.contacts])
            self._answer(200, "", lines + _date(now_ms // 1_000))

    def on_not_stored(self) -> None:
        """The phone shall try again."""
        self._answer(503, "", "Retry-After: 5\r\n")

    def begin(self, request: Request, flow: Flow) -> None:
        """Asks the store for what the REGISTER says, or refuses it."""
        enroll = self._enroll
        required = request.values("require")
        if required:
            self._answer(420, "", f"Unsupported: {', '.join(required)}\r\n")
            return
        try:
            op = self._bind(request, flow)
        except SipError as error:
            extra = f"Min-Expires: {enroll.min_expires_s}\r\n" if error.status == 423 else ""
            self._answer(error.status, error.reason, extra)
            return
        op.nonce = enroll.nonce
        op.nonce_count = enroll.nonce_count
        op.nonce_until_ms = enroll.nonce_until_ms
        self._engine.ask(op, self)

    def _bind(self, request: Request, flow: Flow) -> Bind:
        """The operation that a REGISTER asks for; SipError 400, 403 or 423."""
        enroll = self._enroll
        addresses = [parse_name_addr(value) for value in request.values("contact")]
        op = Bind(
            enroll.number, enroll.account, max_contacts=enroll.max_contacts,
            call_id=request.call_id, cseq=request.cseq,
        )
        if any(address.uri == "*" for address in addresses):
            if len(addresses) != 1 or parse_digits(request.get("expires"), 0) != 0:
                raise SipError(400, "Contact: * stands alone, with Expires: 0")
            op.clear = True
            return op
        if len(addresses) > enroll.max_contacts:
            raise SipError(403, "Too Many Contacts")
        op.contacts = tuple([self._contact(request, flow, address) for address in addresses])
        return op

    def _contact(self, request: Request, flow: Flow, address: NameAddr) -> Contact:
        uri = address.uri
        if len(uri) > MAX_URI or not uri[:5].lower().startswith(("sip:", "sips:")):
            raise SipError(400, "Contact is no SIP URI")
        uri_host_port(uri)
        enroll = self._enroll
        seconds = _expires_s(address.params.get("expires") or request.get("expires"))
        if 0 < seconds < min(enroll.min_expires_s, SHORT_S):
            raise SipError(423, "")
        seconds = min(seconds, enroll.max_expires_s)
        transport, host, port, listener, connection, slot = flow
        return Contact(
            uri, _thousandths(address.params.get("q", "")),
            self._engine.layer.now + 1_000 * seconds, request.call_id, request.cseq, transport,
            host, port, listener, connection, slot, request.get("user-agent")[:MAX_USER_AGENT],
        )

    def _answer(self, status: int, reason: str, extra: str) -> None:
        registers = self._engine.tally.registers
        registers[status] = registers.get(status, 0) + 1
        self.server.respond(status, reason, extra)


@lru_cache(maxsize=2)
def _date(now_s: int) -> str:
    """The Date line (RFC 3261 §20.17): many a phone sets its clock by it."""
    now = datetime.fromtimestamp(now_s, UTC)
    day, month = _DAYS[now.weekday()], _MONTHS[now.month - 1]
    return f"Date: {day}, {now:%d} {month} {now:%Y %H:%M:%S} GMT\r\n"


def _line(contact: Contact, now_ms: int) -> str:
    left_s = max(contact.expires_ms - now_ms, 0) // 1_000
    q = "" if contact.q == 1_000 else f";q={contact.q / 1_000:g}"
    return f"Contact: <{contact.uri}>{q};expires={left_s}\r\n"


def _expires_s(text: str) -> int:
    """Seconds; what is no number is an hour (RFC 3261 §20.10, §20.19), as is none at all."""
    seconds = parse_digits(text.strip(), MAX_EXPIRES)
    if seconds is not None:
        return seconds
    return MAX_EXPIRES if text.isdigit() else DEFAULT_EXPIRES_S


def _thousandths(text: str) -> int:
    """A qvalue as 0 to 1000; the best for none and for what is none (RFC 3261 §25.1)."""
    whole, _, fraction = text.strip().partition(".")
    if whole != "0" or not (fraction + "0").isdigit() or not fraction.isascii():
        return 1_000
    return int(fraction[:3].ljust(3, "0"))
