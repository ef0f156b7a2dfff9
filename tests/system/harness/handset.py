"""A phone by hand: REGISTER and credentials computed here, with no code of the router's."""

from __future__ import annotations

import hashlib
import itertools
import re
import uuid

from harness.heard import Heard
from harness.ports import LOOPBACK
from harness.wire import Peer, new_branch

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Handset:
    """A phone on a peer's socket; `port` is the router's."""

    def __init__(
        self, peer: Peer, port: int, number: str = "1001", password: str = "secret"
    ) -> None:
        self.peer, self.port = peer, port
        self.number, self.password = number, password
        self.call_id = uuid.uuid4().hex
        self._cseq = itertools.count(1)

    @property
    def contact(self) -> str:
        """Where it says that it is."""
        return f"<sip:{self.number}@{self.peer.host}:{self.peer.port}>"

    def ask(self, *lines: str, method: str = "REGISTER", timeout: float = 4.0) -> Heard:
        """Sends a request with these lines and gives the answer."""
        transport = self.peer.transport
        self.peer.send(
            f"{method} sip:{LOOPBACK} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {self.peer.host}:{self.peer.port};"
            f"branch={new_branch()};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.number}@{LOOPBACK}>;tag=1\r\n"
            f"To: <sip:{self.number}@{LOOPBACK}>\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {next(self._cseq)} {method}\r\nUser-Agent: by hand\r\n"
            + "".join(f"{line}\r\n" for line in lines)
            + "Content-Length: 0\r\n\r\n",
            self.port,
        )
        answer = self.peer.next(timeout)
        assert answer is not None, f"{method} was not answered"
        return answer

    def credentials(
        self, challenge: Heard, *, method: str = "REGISTER", algorithm: str = "MD5", nc: int = 1,
        password: str = "",
    ) -> str:
        """The line that answers a challenge."""
        name = "WWW-Authenticate" if challenge.status == 401 else "Proxy-Authenticate"
        offers = [one for one in challenge.all(name) if f"algorithm={algorithm}" in one]
        assert offers, f"{algorithm} is not offered:\n{challenge}"
        realm, nonce = (
            re.search(rf'{field}="([^"]*)"', offers[0])[1]  # type: ignore[index]
            for field in ("realm", "nonce")
        )

        def digest(text: str) -> str:
            return _HASHES[algorithm](text.encode()).hexdigest()

        uri = f"sip:{LOOPBACK}"
        ha1 = digest(f"{self.number}:{realm}:{password or self.password}")
        response = digest(f"{ha1}:{nonce}:{nc:08x}:abc:auth:{digest(f'{method}:{uri}')}")
        answers = "Authorization" if challenge.status == 401 else "Proxy-Authorization"
        return (
            f'{answers}: Digest username="{self.number}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{response}", algorithm={algorithm}, qop=auth, '
            f'nc={nc:08x}, cnonce="abc"'
        )

    def register(self, *lines: str, **more) -> Heard:
        """Registers: challenged, then with credentials; the last answer."""
        lines = lines or (f"Contact: {self.contact}",)
        challenge = self.ask(*lines)
        assert challenge.status == 401, challenge
        return self.ask(*lines, self.credentials(challenge, **more))
