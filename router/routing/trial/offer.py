"""The session descriptions that a trial's caller offers (RFC 4566, RFC 3551)."""

from __future__ import annotations

from collections.abc import Sequence

from router.core.agent import SDP

# RFC 3551 §6: payload type and rtpmap; from 96 on the numbers are ours to choose.
CODECS = {
    "PCMU": "0 PCMU/8000",
    "GSM": "3 GSM/8000",
    "G723": "4 G723/8000",
    "PCMA": "8 PCMA/8000",
    "G722": "9 G722/8000",
    "G728": "15 G728/8000",
    "G729": "18 G729/8000",
    "opus": "96 opus/48000/2",
    "AMR": "97 AMR/8000",
    "iLBC": "98 iLBC/8000",
    "telephone-event": "101 telephone-event/8000",
}


def render_offer(codecs: Sequence[str]) -> bytes:
    """An audio offer with these codecs in this order; the agents' ordinary one for none."""
    if not codecs:
        return SDP
    maps = [CODECS[name] for name in codecs]
    payloads = " ".join(entry.partition(" ")[0] for entry in maps)
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio 20000 RTP/AVP {payloads}\r\n"
        + "".join(f"a=rtpmap:{entry}\r\n" for entry in maps)
        + "a=sendrecv\r\n"
    ).encode()
