"""A phone that says what it is told, in virtual time, with our own client's digest."""

from __future__ import annotations

from itertools import count
from typing import Any

from routed import US, Routed

from router.core.flow import Flow, Listener
from router.sip.digest import answer_challenge, choose_challenge
from router.sip.message import Request, Response, parse_message

_BRANCHES = count(1)


class Handset:
    """A phone of a `Routed`: requests out, responses kept; ACKs what is final of an INVITE."""

    def __init__(
        self, routed: Routed, number: str = "1001", password: str = "secret",
        host: str = "192.0.2.77", port: int = 5070,
    ) -> None:
        self.number, self.password = number, password
        self.listener = Listener("udp", host, port)
        self.call_id = f"{number}@{host}"
        self.heard: list[Response] = []
        self.asked: list[Request] = []
        self._cseq = count(1)
        self._sends: list[tuple[bytes, Flow]] = []
        self._network = routed.network
        routed.network.agents[host, port] = self  # type: ignore[assignment]

    # What a network asks of an agent

    def receive(self, data: bytes, flow: Flow, now_ms: int) -> None:
        message = parse_message(data)
        if isinstance(message, Request):
            self.asked.append(message)
            return
        self.heard.append(message)
        if message.cseq_method == "INVITE" and message.status >= 200:
            head = "".join(
                f"{name}: {message.get(key)}\r\n"
                for name, key in (("Via", "via"), ("From", "from"), ("To", "to"),
                                  ("Call-ID", "call-id"))
            )
            self._send(f"ACK sip:x@{US[0]} SIP/2.0\r\n{head}CSeq: {message.cseq} ACK\r\n")

    def on_timers(self, now_ms: int) -> None:
        pass

    def next_timer_ms(self) -> int | None:
        return None

    def take_sends(self) -> list[tuple[bytes, Flow]]:
        sends, self._sends = self._sends, []
        return sends

    # What tests ask of it

    def _send(self, head: str) -> None:
        self._sends.append((f"{head}Content-Length: 0\r\n\r\n".encode(), Flow("udp", *US, 0)))

    def request(self, method: str, *lines: str, to: str = "", **more: Any) -> Response:
        """Sends a request and gives its first final response."""
        host, port = self.listener.host, self.listener.port
        cseq = more.get("cseq") or next(self._cseq)
        user = more.get("user", self.number)
        uri = more.get("uri") or f"sip:{US[0]}"
        self.heard.clear()
        self._send(
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{next(_BRANCHES)};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{US[0]}>;tag=t{cseq}\r\n"
            f"To: <sip:{to or user}@{US[0]}>\r\nCall-ID: {more.get('call_id', self.call_id)}\r\n"
            f"CSeq: {cseq} {method}\r\nUser-Agent: handset/1.0\r\n"
            + "".join(f"{line}\r\n" for line in lines)
        )
        self._network.run_for(100)
        finals = [response for response in self.heard if response.status >= 200]
        assert finals, f"{method} was not answered"
        return finals[0]

    def contact(self, more: str = "") -> str:
        """Its Contact line."""
        return f"Contact: <sip:{self.number}@{self.listener.host}:{self.listener.port}>{more}"

    def answer(self, challenge: Response, method: str, uri: str = "", **more: Any) -> str:
        """The header line that answers a 401 or 407."""
        asks, answers = (
            ("www-authenticate", "Authorization")
            if challenge.status == 401
            else ("proxy-authenticate", "Proxy-Authorization")
        )
        chosen = choose_challenge(challenge.get_all(asks)[more.pop("at", 0) :])
        assert chosen is not None
        more.setdefault("username", self.number)
        more.setdefault("password", self.password)
        more.setdefault("cnonce", "c0ffee")
        return f"{answers}: {answer_challenge(chosen, method, uri or f'sip:{US[0]}', **more)}"

    def register(self, *lines: str, **more: Any) -> Response:
        """Registers with its password: two REGISTERs; the last response."""
        lines = lines or (self.contact(),)
        challenge = self.request("REGISTER", *lines, **more)
        assert challenge.status == 401
        more.pop("cseq", None)
        return self.request("REGISTER", *lines, self.answer(challenge, "REGISTER"), **more)
