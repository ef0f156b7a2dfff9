"""The settings of who calls and who is called: where the caller is read, who may know him, and
which numbers are let through.
"""

from __future__ import annotations

from dsl.surface import BlockSchema, Setting, ValueType, by_name

_NUMBERS = ValueType("prefix", many=True, refers="list")

CALLEES = (
    Setting("callee_allow", _NUMBERS, "Callees that are allowed.", "all", apart=True),
    Setting("callee_deny", _NUMBERS, "Callees that are refused.", "none", apart=True),
)
CALLERS = (
    Setting("caller_allow", _NUMBERS, "Callers that are allowed.", "all", apart=True),
    Setting(
        "caller_deny",
        _NUMBERS,
        "Callers that are refused; the longest of all that match decides. The server, the account "
        "and the trunk are asked each by itself.",
        "none",
        apart=True,
    ),
)
LIST = BlockSchema(
    "list",
    by_name(
        Setting(
            "file",
            ValueType("string"),
            "A file with a number a line, a note behind a comma; 900* stands for all that begin "
            "so.",
            required=True,
        )
    ),
    "A list of numbers, for the settings that allow and deny.",
    unused=True,
)

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
