"""SIP by hand: sockets that send exact bytes and show exactly what came back.

For what SIPp hides or repairs: retransmissions, the order and the bytes of headers, races, garbage.
No code of `router.sip` is used here, so that the two cannot be wrong together.
"""

from __future__ import annotations

import itertools
import socket
import time
import uuid
from collections.abc import Iterable

from harness.heard import Heard, describes, tag_of
from harness.ports import LOOPBACK

OFFER = (
    "v=0\r\no=hand 1 1 IN IP4 127.0.0.1\r\ns=offer\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=x-kept-as-it-is:\ttab, spaces  and ümlaut\r\n"
)
ANSWER = OFFER.replace("s=offer", "s=answer").replace("20000", "30000")
_branches = itertools.count(1)


def new_branch() -> str:
    """A branch never used before, with RFC 3261's cookie."""
    return f"z9hG4bK-hand-{next(_branches)}-{uuid.uuid4().hex[:8]}"


class Peer:
    """A UDP socket that keeps all it hears."""

    transport = "UDP"

    def __init__(self, port: int = 0, host: str = LOOPBACK) -> None:
        self.host = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.port: int = self.socket.getsockname()[1]
        self.heard: list[Heard] = []
        self.acks: dict[bytes, tuple[bytes, int]] = {}
        """The ACK of each 2xx acknowledged, and where it went: it is owed to every copy of it."""

    def close(self) -> None:
        """Closes the socket; what comes later is refused by the kernel."""
        self.socket.close()

    def send(self, data: str | bytes, port: int) -> bytes:
        """Sends to a port of the loopback address; returns the bytes."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self.socket.sendto(raw, (LOOPBACK, port))
        return raw

    def next(self, timeout: float = 3.0) -> Heard | None:
        """The next message, or None after `timeout` seconds."""
        self.socket.settimeout(max(timeout, 0.001))
        try:
            raw, source = self.socket.recvfrom(65535)
        except TimeoutError:
            return None
        return self.take(Heard(raw, source, time.monotonic()))

    def take(self, message: Heard) -> Heard:
        """Keeps what was heard; a 2xx that was acknowledged gets its ACK again (§13.2.2.4)."""
        self.heard.append(message)
        if message.raw in self.acks:
            self.send(*self.acks[message.raw])
        return message

    def expect(self, *wanted: str | int, timeout: float = 4.0, skip: tuple = (100,)) -> Heard:
        """The next message that is one of `wanted`; before it only those in `skip` may come.

        A message already heard byte by byte (a retransmission) is passed over too, unless wanted;
        a 2xx that has its ACK is never wanted again.
        """
        end = time.monotonic() + timeout
        while True:
            before = {each.raw for each in self.heard}
            message = self.next(end - time.monotonic())
            if message is None:
                raise AssertionError(f"no {wanted} within {timeout} s; heard:\n{self.story()}")
            if message.raw in self.acks:
                continue
            if describes(message, wanted):
                return message
            if not describes(message, skip) and message.raw not in before:
                raise AssertionError(f"wanted {wanted}, came:\n{message}\nheard:\n{self.story()}")

    def listen(self, seconds: float) -> list[Heard]:
        """All that comes during these seconds."""
        end, came = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            message = self.next(left)
            if message is not None:
                came.append(message)
        return came

    def hears_nothing(self, seconds: float) -> None:
        """AssertionError if anything comes during these seconds."""
        came = self.listen(seconds)
        assert not came, "expected silence, came:\n" + "\n".join(map(str, came))

    def story(self) -> str:
        """All messages heard so far, for a failing test's message."""
        return "\n".join(map(str, self.heard)) or "(nothing)"

    def reply(
        self,
        request: Heard,
        status: int,
        reason: str = "",
        *,
        tag: str = "",
        extra: Iterable[str] = (),
        body: str = "",
        contact: bool = True,
    ) -> bytes:
        """Answers a request the way RFC 3261 §8.2.6 says; returns the bytes sent."""
        words = reason or {
            100: "Trying",
            180: "Ringing",
            183: "Session Progress",
            200: "OK",
            481: "Call/Transaction Does Not Exist",
            486: "Busy Here",
            487: "Request Terminated",
            503: "Service Unavailable",
        }.get(status, "Said By Hand")
        to = request.get("To")
        if tag and not tag_of(to):
            to += f";tag={tag}"
        lines = [f"SIP/2.0 {status} {words}"]
        lines += [f"Via: {value}" for value in request.all("Via")]
        lines += [f"Record-Route: {value}" for value in request.all("Record-Route")]
        lines += [f"From: {request.get('From')}", f"To: {to}"]
        lines += [f"Call-ID: {request.get('Call-ID')}", f"CSeq: {request.get('CSeq')}"]
        if contact and status > 100:
            lines.append(f"Contact: <sip:hand@{self.host}:{self.port}{self.contact_parameter}>")
        return self.send(finish(lines, extra, body), request.source[1])

    @property
    def contact_parameter(self) -> str:
        """What a Contact of this peer says about its transport."""
        return "" if self.transport == "UDP" else f";transport={self.transport.lower()}"


def finish(lines: list[str], extra: Iterable[str], body: str) -> str:
    """The whole message: lines, extra lines, and a body of SDP unless `extra` names its type."""
    lines = [*lines, *extra]
    if body and not any(line.lower().startswith("content-type:") for line in lines):
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


class StreamPeer(Peer):
    """The same over one TCP connection to a port, messages cut by Content-Length."""

    transport = "TCP"

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.host = host
        self.socket = socket.create_connection((LOOPBACK, port), 5, source_address=(host, 0))
        self.port = self.socket.getsockname()[1]
        self.peer = ("", port)
        self.heard = []
        self.acks = {}
        self.rest = b""

    def send(self, data: str | bytes, port: int) -> bytes:
        """Sends on the connection; `port` is what it is connected to and is ignored."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self.socket.sendall(raw)
        return raw

    def next(self, timeout: float = 3.0) -> Heard | None:
        """The next whole message, or None after `timeout` seconds or at the end of the stream."""
        end = time.monotonic() + timeout
        while (raw := self._cut()) is None:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                part = self.socket.recv(65535)
            except (TimeoutError, ConnectionResetError):
                return None
            if not part:
                return None
            self.rest += part
        return self.take(Heard(raw, self.peer, time.monotonic()))

    def closed_by_peer(self, seconds: float = 3.0) -> bool:
        """Whether the other end closes the connection within these seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65535):
                    return True
            except TimeoutError:
                return False
            except ConnectionResetError:
                return True
        return False

    def _cut(self) -> bytes | None:
        self.rest = self.rest.lstrip(b"\r\n")
        head, gap, body = self.rest.partition(b"\r\n\r\n")
        if not gap:
            return None
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith((b"content-length:", b"l:"))
        )
        if len(body) < length:
            return None
        self.rest = body[length:]
        return head + gap + body[:length]


class Call:
    """The caller's side of one call, played by hand on a peer: its identifiers and its requests."""

    def __init__(
        self, peer: Peer, port: int, number: str, *, call_id: str = "", caller: str = "1000"
    ) -> None:
        """A call to `number` at the router's `port`."""
        self.peer, self.port, self.number = peer, port, number
        self.call_id = call_id or f"hand-{uuid.uuid4().hex[:12]}@test"
        self.caller_address = f"<sip:{caller}@{peer.host}:{peer.port}>"
        self.from_tag = uuid.uuid4().hex[:8]
        self.to_tag = ""
        self.uri = f"sip:{number}@{LOOPBACK}:{port}"
        self.target = self.uri
        self.cseq = 0
        self.branch = ""
        self.invite_branch = ""
        self.invite_cseq = 0

    def compose(
        self,
        method: str,
        *,
        uri: str = "",
        cseq: int = 0,
        branch: str = "",
        to_tag: str | None = None,
        extra: Iterable[str] = (),
        body: str = "",
        without: tuple[str, ...] = (),
        max_forwards: int = 70,
    ) -> str:
        """The text of a request of this call; `without` names headers to leave out."""
        tag = self.to_tag if to_tag is None else to_tag
        self.branch = branch or new_branch()
        lines = [
            f"{method} {uri or self.target} SIP/2.0",
            f"Via: SIP/2.0/{self.peer.transport} {self.peer.host}:{self.peer.port}"
            f";branch={self.branch};rport",
            f"Max-Forwards: {max_forwards}",
            f"From: {self.caller_address};tag={self.from_tag}",
            f"To: <{self.uri}>" + (f";tag={tag}" if tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq or self.cseq} {method}",
            f"Contact: <sip:1000@{self.peer.host}:{self.peer.port}{self.peer.contact_parameter}>",
        ]
        lines = [line for line in lines if line.partition(":")[0] not in without]
        return finish(lines, extra, body)

    def send(self, text: str | bytes) -> bytes:
        """Sends to the router."""
        return self.peer.send(text, self.port)

    def invite(self, *, body: str = OFFER, **more) -> bytes:
        """Sends a new INVITE (or re-INVITE when the call is answered); returns its bytes."""
        self.cseq += 1
        text = self.compose("INVITE", body=body, **more)
        self.invite_branch, self.invite_cseq = self.branch, self.cseq
        return self.send(text)

    def answered(self, response: Heard) -> Heard:
        """Takes tag and target from a 2xx."""
        self.to_tag, self.target = response.to_tag, response.contact_uri
        return response

    def ack(self, response: Heard, *, body: str = "") -> bytes:
        """Sends the ACK that belongs to this final response (RFC 3261 §13.2.2.4, §17.1.1.3)."""
        if response.status < 300:
            self.answered(response)
            sent = self.send(self.compose("ACK", cseq=response.cseq[0], body=body))
            self.peer.acks[response.raw] = (sent, self.port)
            return sent
        return self.send(
            self.compose(
                "ACK",
                uri=self.uri if not self.to_tag else self.target,
                cseq=response.cseq[0],
                branch=self.invite_branch,
                to_tag=response.to_tag,
                without=("Contact",),
            )
        )

    def cancel(self) -> bytes:
        """Sends the CANCEL of the last INVITE (RFC 3261 §9.1)."""
        return self.send(
            self.compose(
                "CANCEL", cseq=self.invite_cseq, branch=self.invite_branch, without=("Contact",)
            )
        )

    def request(self, method: str, **more) -> bytes:
        """Sends another request with the next CSeq number."""
        self.cseq += 1
        return self.send(self.compose(method, **more))

    def bye(self) -> bytes:
        """Sends BYE."""
        return self.request("BYE", without=("Contact",))


def dialog_request(
    gateway: Peer,
    invite: Heard,
    method: str,
    *,
    tag: str,
    cseq: int = 1,
    branch: str = "",
    extra: Iterable[str] = (),
    body: str = "",
) -> bytes:
    """Sends a request from the called side of the dialog that `invite` opened; its bytes."""
    lines = [
        f"{method} {invite.contact_uri} SIP/2.0",
        f"Via: SIP/2.0/{gateway.transport} {gateway.host}:{gateway.port}"
        f";branch={branch or new_branch()};rport",
        "Max-Forwards: 70",
        f"From: {invite.get('To')};tag={tag}",
        f"To: {invite.get('From')}",
        f"Call-ID: {invite.get('Call-ID')}",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:hand@{gateway.host}:{gateway.port}{gateway.contact_parameter}>",
    ]
    return gateway.send(finish(lines, extra, body), invite.source[1])
