"""The settings of media: whose go through rtpengine, and what is converted there."""

from __future__ import annotations

from dsl.surface import Setting, ValueType

LEVELS = ("pass", "relay", "transcode")
"""What may be asked for media, each more than the one before."""
DEFAULT_CODECS = ("PCMA", "PCMU", "G722")

_CODECS = ValueType(
    "word",
    many=True,
    choices=("PCMA", "PCMU", "G722", "G723", "G729", "GSM", "iLBC", "AMR", "opus"),
)

GLOBAL_MEDIA = (
    Setting(
        "rtpengine",
        ValueType("relay", many=True),
        "Where rtpengine hears its ng protocol: 127.0.0.1:2223. Of several each call has one, and "
        "the next when that gives no answer.",
    ),
    Setting(
        "media_timeout",
        ValueType("duration"),
        "A relayed call without a packet from either side for so long ends: MediaTimeout; 0s: "
        "never.",
        "60s",
    ),
    Setting("codecs", _CODECS, "What transcode offers besides the peer's own.", "PCMA, PCMU, G722"),
)
MEDIA = Setting(
    "media",
    ValueType("word", choices=LEVELS),
    "What happens to media: pass leaves SDP as it is, relay lets them go through rtpengine, "
    "transcode also converts codecs. Of caller and callee the one that asks for more has its way.",
    "pass",
)
GATEWAY_MEDIA = (
    MEDIA,
    Setting("codecs", _CODECS, "What transcode offers to it.", "the global ones"),
)
