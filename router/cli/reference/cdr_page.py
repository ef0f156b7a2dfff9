"""docs/cdr.md: every field of a CDR, its type and unit, and when it is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from router.store.records import Attempt, Cdr, Charge


class Field(NamedTuple):
    """What is said of a field: unit, or what its text is made of; meaning; when it is empty."""

    unit: str
    doc: str
    empty: str


CDR_FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("hex digits", "The call's name: 12 digits of the time of arrival, 2 of the worker, "
                "the rest random. Ids sort by time.", "never"),
    "call_id": Field("SIP Call-ID", "Of the leg to the caller.", "never"),
    "b_call_id": Field("SIP Call-ID", "Of the leg to the last gateway that was tried.",
                       "no gateway was tried"),
    "account": Field("name", "Who pays.", "nobody was identified"),
    "agent_path": Field("names with /", "The agents above the account and the account, from the "
                        "top.", "nobody was identified, or there is no agent"),
    "trunk": Field("name", "The trunk of the account that the call came from.",
                   "it came from no trunk"),
    "phone": Field("number", "The phone of the account that the call came from.",
                   "it came from no phone"),
    "source": Field("IP address", "Where the INVITE came from.", "never"),
    "caller_in": Field("number", "The caller as the INVITE has it.", "the INVITE names none"),
    "callee_in": Field("number", "The number as it was dialled.", "the INVITE names none"),
    "caller_out": Field("number", "The caller as the last gateway got it.",
                        "no gateway was tried"),
    "callee_out": Field("number", "The number as the last gateway got it.",
                        "no gateway was tried"),
    "gateway": Field("name", "The gateway that answered, or was tried last.",
                     "no gateway was tried"),
    "attempt": Field("1, 2, …", "Which of `attempts` answered, or was the last.",
                     "0: no gateway was tried"),
    "attempts": Field("list, below", "Each INVITE to a gateway or a phone.",
                      "no gateway was tried"),
    "started": Field("instant", "The INVITE came in.", "never"),
    "ringing": Field("instant", "The caller was told that it rings, or heard early media.",
                     "0: it did not ring"),
    "answered": Field("instant", "The 200 went to the caller: from here on is billed.",
                      "0: it was not answered"),
    "ended": Field("instant", "BYE, or the final response of a call that was not answered.",
                   "never"),
    "pdd_ms": Field("ms", "Post-dial delay: from the INVITE until it rang, or else the answer.",
                    "-1: neither happened"),
    "duration_ms": Field("ms", "From the answer to the end.", "0: it was not answered"),
    "billed_s": Field("s", "The time that the account pays for, in whole periods.",
                      "0: nothing is billed"),
    "rate_prefix": Field("prefix", "The prefix of the account's rate.", "no rate was asked for"),
    "rate": Field("amount a minute", "The account's rate.", "0: no rate was asked for"),
    "charge": Field("amount", "What `account` pays; others: `charges`.", "0: nothing is billed"),
    "cost": Field("amount", "What the vendor of the gateway gets.", "0: nothing is billed"),
    "end_reason": Field("word", "Why it ended: [end-reasons.md](end-reasons.md); GatewayRejected "
                        "has the code in brackets.", "never"),
    "end_side": Field("caller, callee or server", "Who ended it.", "never"),
    "sip_code": Field("SIP status", "The final response to the caller.",
                      "0: a power cut came first"),
    "q850": Field("Q.850 cause", "As in the Reason header.", "never"),
    "codec": Field("name", "The first codec of the answer.", "it was not answered, or has no SDP"),
    "config": Field("hash", "The routes.cfg that decided it.", "the routes were not asked"),
    "worker": Field("0, 1, …", "The worker it ended in.", "never"),
    "variables": Field("names and texts", "What the routes put into `$call.*`.", "no route did"),
    "decision": Field("list of texts", "Who was identified, the candidates, why each was dropped, "
                      "taken or failed. `trunkline explain ID` says it in sentences.",
                      "nothing was decided"),
    "charges": Field("list, below", "What each account pays: the customer, the agents above it, "
                     "the vendor's clearing account.", "no account has a deck"),
    "route_lines": Field("list of texts", "The branches of the routes that it went by, the routes "
                         "called and what ended them, as `CALL:61`: route and line, of an included "
                         "file `CALL:lcr.cfg:61`. Each once, the first 40.",
                         "the routes have no branches"),
    "cost_terms": Field("list, below", "What the vendor asks where no clearing account pays it: a "
                        "charge of no account.", "the gateway has a clearing account, or no deck"),
    "mos_hundredths": Field("hundredths", "How it sounded, as rtpengine said it last (it is asked "
                            "every 10 s): the mean opinion score, 100 to 500.",
                            "0: it was not relayed, or rtpengine said none"),
}

ATTEMPT_FIELDS: Final[Mapping[str, Field]] = {
    "gateway": Field("name", "Where the INVITE went.", "never"),
    "b_call_id": Field("SIP Call-ID", "Of this leg.", "never"),
    "callee_out": Field("number", "As it went out, after the gateway's rewriting.",
                        "the number is empty"),
    "caller_out": Field("number", "As it went out.", "the number is empty"),
    "started": Field("instant", "The INVITE was sent.", "never"),
    "ringing": Field("instant", "180, or 183 with SDP.", "0: neither came"),
    "answered": Field("instant", "200.", "0: it was not answered"),
    "ended": Field("instant", "Its final response, its time-out, or the end of the call.",
                   "0: the call goes on"),
    "sip_code": Field("SIP status", "The gateway's final response.", "0: it gave none"),
    "reason": Field("word", "The end reason of this attempt.", "the call goes on"),
}

CHARGE_FIELDS: Final[Mapping[str, Field]] = {
    "account": Field("name", "Who pays, or whose clearing account it is.",
                     "in `cost_terms`"),
    "amount": Field("amount", "What is taken from its balance.", "0: nothing is billed"),
    "kind": Field("retail, agent or vendor", "The customer, an agent above it, or the vendor.",
                  "never"),
    "rate_prefix": Field("prefix", "The prefix of its rate.", "the rate is for any number"),
    "rate": Field("amount a minute", "The rate in its deck.", "0: it is free"),
    "billed_s": Field("s", "The time it pays for.", "0: nothing is billed"),
    "connect_fee": Field("amount", "What each answered call costs at once.", "0: nothing"),
    "first_s": Field("s", "The first period.", "never"),
    "cycle_s": Field("s", "The periods after it.", "never"),
    "free_s": Field("s", "What is not billed at the beginning.", "0: nothing is free"),
    "hold_precision_ms": Field("ms", "A remainder below it is not billed.", "0: all is billed"),
    "fee_decimals": Field("0 to 6", "Decimals that the amount is rounded to.", "never"),
}

HIDDEN: Final = frozenset(
    {"connect_fee", "first_s", "cycle_s", "free_s", "hold_precision_ms", "fee_decimals"}
)
"""Terms of a charge that stand in the stores, and in no export."""

_HEAD: Final = """\
# Call detail records

<!-- Made by `make docs` out of router/cli/reference/cdr_page.py: do not edit. -->

There is one CDR for each INVITE that was a call, written once, when it ends. `trunkline cdr` lists
them, `trunkline cdr show ID` shows all of one, `trunkline explain ID` tells its story,
`trunkline cdr export` and the setting `cdr_file` write them to files. No CDR has a call that a
route dropped, or an INVITE that was challenged for credentials.

| | CSV | JSON |
|---|---|---|
| instant | ISO 8601 with offset and milliseconds; empty for never | epoch ms; 0 for never |
| amount | decimal with six digits | the same, in quotes |
| list, names | JSON in its cell; empty for none | as it is |
| text | control characters as `\\x0a` | as it is |

In a CSV an apostrophe stands in front of text that a spreadsheet would take for a formula.
Bytes of peers that are no UTF-8 are spelled out, as in `\\xff`. New fields are added at the end.

## Finding them

| filter | how it is found |
|---|---|
| id | at once |
| `--call-id` (of any leg), `--account`, `--gateway`, `--reason` | by an index, newest first |
| `--callee PREFIX` | by an index; by time when more than 20,000 have the prefix |
| `--since`, `--until` | a range of ids |
| the end of an id | a look at all ids |

With several filters the first of call id, account, gateway, reason and callee is looked up and the
others are held against what is found. A ledger of an older version gets its index while the router
runs, which says so in its log; until then all CDRs are looked at.

## The streaming file

`cdr_file = "cdrs/%Y%m%d-%H.csv"` (or .jsonl) writes a line of each CDR as soon as the ledger has
it. The time in the name is that of the writing, by this machine's clock, so a file is complete
once there is a newer one; `cdr_file_mb` lets parts follow: calls.csv, calls.1.csv. Every CDR has
one line in one file, whatever is killed; a full disk stops the file only, and it catches up later.
Files may be fetched, moved or deleted at any time. The settings are those of the start: changed
ones wait for a restart.

"""


def cdr_page() -> str:
    """The text of docs/cdr.md."""
    return "\n".join(
        [
            _HEAD + "## Fields\n",
            _table(Cdr, CDR_FIELDS),
            "## An attempt\n",
            _table(Attempt, ATTEMPT_FIELDS),
            "## A charge\n\nThe terms from `connect_fee` on are kept in the stores, so that a call "
            "can be billed after a power\ncut; exports leave them out.\n",
            _table(Charge, CHARGE_FIELDS),
        ]
    )


def _table(record: type[msgspec.Struct], fields: Mapping[str, Field]) -> str:
    types = {one.name: one.type for one in msgspec.structs.fields(record)}
    rows = "".join(
        f"| `{name}` | {_type_text(types[name])} | {one.unit} | {one.doc} | {one.empty} |\n"
        for name, one in fields.items()
    )
    return f"| field | type | unit or form | | empty when |\n|---|---|---|---|---|\n{rows}"


def _type_text(kind: object) -> str:
    if kind is str:
        return "text"
    if kind is int:
        return "integer"
    return "map" if str(kind).startswith("dict") else "list"
