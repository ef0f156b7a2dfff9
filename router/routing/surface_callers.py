"""The settings of who calls: where he is read, how others are told, and whether they may know."""

from __future__ import annotations

from dsl.surface import Setting, ValueType

_WORD = ValueType("word", choices=("from", "pai", "rpid"))

CALLER_SETTINGS = (
    Setting(
        "caller_id",
        _WORD,
        "Where the caller is read: From, P-Asserted-Identity or Remote-Party-ID; From where that "
        "is missing.",
        "from",
    ),
    Setting(
        "caller_pool",
        ValueType("prefix", many=True),
        "Numbers that stand in for the caller, the same for the same Call-ID.",
        "none",
    ),
)

CALLED_SETTINGS = (
    Setting(
        "caller_id_out",
        _WORD,
        "What names the caller besides From: nothing, P-Asserted-Identity or Remote-Party-ID.",
        "from",
    ),
    Setting(
        "trusted",
        ValueType("bool"),
        "Whether it may know callers who want privacy (RFC 3325): in P-Asserted-Identity. Others "
        "get an anonymous From and nothing else.",
        "false",
    ),
)
