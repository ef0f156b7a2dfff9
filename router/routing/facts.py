"""The facts of the message and the call, as routes read them and some of them assign.

Every attribute here is named in the function table (`surface`).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from router.routing.objects import NO_GATEWAY, Gateway
from router.sip.errors import SipError
from router.sip.grammar import is_token
from router.sip.head import canonical_key
from router.sip.name_addr import parse_name_addr
from router.sip.quoting import end_of_quoted, quote
from router.sip.uri import split_host_port, uri_host, uri_number

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call
    from router.core.flow import Flow
    from router.routing.config import Config
    from router.sip.message import Request, Response


@lru_cache(maxsize=4096)
def _address(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host)


@lru_cache(maxsize=256)
def canonical(name: str) -> str:
    """The long name of a header, in lower case."""
    return canonical_key(name)


def _is_domain(text: str) -> bool:
    """Whether it is a host, with or without a port, that may stand in a URI that is sent."""
    try:
        split_host_port(text)
    except SipError:
        return False
    return text.isascii()


class Facts:
    """The part of the context that reads."""

    __slots__ = ()

    if TYPE_CHECKING:
        attempt: Attempt | None
        call: Call | None
        config: Config
        flow: Flow
        request: Request | None
        response: Response | None
        subject: Gateway | None

        def log(self, level: str, text: str) -> None: ...

    @property
    def _leg(self) -> Attempt | Call | None:
        """What numbers and headers belong to: the attempt, and after its failure the call."""
        attempt = self.attempt
        if attempt is None or (attempt.sent and self.response is None):
            return self.call
        return attempt

    def _get(self, key: str) -> str:
        message = self.response or self.request
        if message is not None:
            return message.get(key)
        return _remembered(self.call, key) if self.call is not None else ""

    @property
    def method(self) -> str:
        return self.request.method if self.request is not None else "INVITE"

    @property
    def uri(self) -> str:
        if self.request is not None:
            return self.request.uri
        call = self.call
        return f"sip:{call.cdr.callee_in}@{call.engine.hosts[0]}" if call is not None else ""

    @property
    def callee(self) -> str:
        leg = self._leg
        return leg.callee if leg is not None else uri_number(self.uri)

    @callee.setter
    def callee(self, number: str) -> None:
        leg = self._leg
        if leg is not None:
            leg.callee = one_line(number)

    @property
    def uri_domain(self) -> str:
        leg = self._leg
        return leg.domain if leg is not None and leg.domain else uri_host(self.uri)

    @uri_domain.setter
    def uri_domain(self, domain: str) -> None:
        leg = self._leg
        if domain and not _is_domain(domain):
            self.log("warning", f'$rd cannot be "{domain}", which is no host')
        elif leg is not None:
            leg.domain = domain

    @property
    def caller(self) -> str:
        leg = self._leg
        return leg.caller if leg is not None else uri_number(self.from_uri)

    @caller.setter
    def caller(self, number: str) -> None:
        leg = self._leg
        if leg is not None:
            leg.caller = one_line(number)

    @property
    def display_name(self) -> str:
        leg = self._leg
        return leg.display if leg is not None else parse_name_addr(self._get("from")).display

    @display_name.setter
    def display_name(self, name: str) -> None:
        leg = self._leg
        if leg is not None:
            leg.display = _display(name)

    @property
    def from_uri(self) -> str:
        return parse_name_addr(self._get("from")).uri

    @property
    def from_domain(self) -> str:
        return uri_host(self.from_uri)

    @property
    def to_uri(self) -> str:
        return parse_name_addr(self._get("to")).uri

    @property
    def to_user(self) -> str:
        return uri_number(self.to_uri)

    @property
    def to_domain(self) -> str:
        return uri_host(self.to_uri)

    @property
    def source_ip(self) -> IPv4Address | IPv6Address:
        return _address(self.flow.host)

    @property
    def source_port(self) -> int:
        return self.flow.port

    @property
    def local_ip(self) -> IPv4Address | IPv6Address:
        return _address(self.config.listeners[self.flow.listener].host)

    @property
    def local_port(self) -> int:
        return self.config.listeners[self.flow.listener].port

    @property
    def transport(self) -> str:
        return self.flow.transport

    @property
    def user_agent(self) -> str:
        return self._get("user-agent")

    @property
    def call_id(self) -> str:
        return self._get("call-id")

    @property
    def cseq(self) -> int:
        message = self.response or self.request
        return message.cseq if message is not None else 0

    @property
    def contact(self) -> str:
        return self._get("contact")

    @property
    def body(self) -> str:
        message = self.response or self.request
        return message.body.decode("utf-8", "surrogateescape") if message is not None else ""

    @property
    def max_forwards(self) -> int:
        hops = self.request.max_forwards if self.request is not None else None
        return 70 if hops is None else hops

    @property
    def reply_code(self) -> int:
        """The status in reply_route, the attempt's in failure_route, the call's in end_route."""
        if self.response is not None:
            return self.response.status
        if self.attempt is not None:
            failure = self.attempt.failure
            return self.attempt.status or (failure.status if failure is not None else 0)
        return self.call.cdr.sip_code if self.call is not None else 0

    @property
    def reply_reason(self) -> str:
        if self.response is not None:
            return self.response.reason
        return self.attempt.status_reason if self.attempt is not None else ""

    @property
    def gateway(self) -> Gateway:
        attempt = self.attempt
        if attempt is not None and isinstance(attempt.target, Gateway):
            # Itself, and not one of its addresses.
            return self.config.gateways_by_key.get(attempt.target.key, attempt.target)
        if self.call is None:
            return self.subject or NO_GATEWAY
        return self.config.gateways.get(self.call.cdr.gateway, NO_GATEWAY)

    def header(self, name: str) -> str:
        """The value of the first header of this name, "" when there is none."""
        return self._get(canonical(name))


def _remembered(call: Call, key: str) -> str:
    """What is known of a header of the INVITE, of a call that was taken over without it."""
    if key == "from":
        return call.a.remote
    if key == "to":
        return call.a.local.rpartition(";tag=")[0]
    return call.cdr.call_id if key == "call-id" else ""


def _display(name: str) -> str:
    """The name as it may stand in From: quoted, where it is neither quoted nor made of tokens."""
    name = one_line(name)
    if name[:1] == '"' and end_of_quoted(name, 0) == len(name) > 1 and name[-1] == '"':
        return name
    return name if all(map(is_token, name.split())) else quote(name)


def one_line(text: str) -> str:
    """The text without ends of line."""
    # A value made by a script from what a peer sent must not begin a header of its own.
    if "\r" in text or "\n" in text:
        return text.replace("\r", " ").replace("\n", " ")
    return text


def without_lines(lines: str, key: str) -> str:
    """Header lines less those of a name in its canonical form."""
    return "".join(
        line
        for line in lines.splitlines(keepends=True)
        if canonical(line.partition(":")[0].strip()) != key
    )
