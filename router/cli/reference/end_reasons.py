"""docs/end-reasons.md, made of the enumeration and the guide beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from router.core.end_reasons import BY_STATUS, EndReason
from router.core.reason_guide import DRAWERS, GUIDE

_HEAD: Final = """\
# End reasons

<!-- Made by `make docs` out of router/core/end_reasons.py and reason_guide.py: do not edit. -->

Why a call ended stands on its CDR, one of the words below. SIP is the status that the caller gets
(`BYE` where the reason ends answered calls); Q.850 is the cause on the CDR and in the header
`Reason: Q.850;cause=N` of the final response or of the BYE.

To work through a complaint: find the call (`trunkline cdr --account NAME --since 1h`), read its
reason, look into the drawer below, check the one thing, place a test call.
`trunkline cdr show ID` says for one call what stands below for all.
"""
_MAPPING: Final = """\
## From a gateway's code to a reason

When hunting is over, the last gateway's final status becomes the reason of the call:

"""
_MAPPING_TAIL: Final = """
Every other code is `GatewayRejected(code)` and is passed on to the caller as it came. The table can
be changed in routes.cfg, for all gateways and for each one, the nearer wins:

```
reason_of = 403:CalledNumberRestricted
gateway cn_mobile {
    address   = 192.0.2.1
    prefixes  = 86
    reason_of = 480:UserBusy, 403:GatewayRejected
}
```

The caller gets the status of the reason. `replace_codes` of a trunk replaces it once more, for the
callers of that trunk only.
"""


def end_reasons_page() -> str:
    """The text of docs/end-reasons.md."""
    parts = [_HEAD, _overview()]
    for drawer in DRAWERS:
        parts.append(f"## Drawer: {drawer}\n")
        parts += [_section(reason) for reason in EndReason if GUIDE[reason].drawer == drawer]
    rows = "".join(
        f"| {status} | {reason.name} | {reason.chinese} |\n"
        for status, reason in sorted(BY_STATUS.items())
    )
    parts.append(f"{_MAPPING}| code | reason | 中文 |\n|---|---|---|\n{rows}{_MAPPING_TAIL}")
    return "\n".join(parts)


def _overview() -> str:
    rows = "".join(
        f"| [{reason.name}](#{reason.name.lower()}) | {reason.chinese} | {sip_text(reason)} "
        f"| {reason.q850} | {GUIDE[reason].drawer} |\n"
        for reason in EndReason
    )
    return f"| reason | 中文 | SIP | Q.850 | drawer |\n|---|---|---|---|---|\n{rows}"


def _section(reason: EndReason) -> str:
    return "\n".join(_lines(reason)) + "\n"


def _lines(reason: EndReason) -> Iterator[str]:
    guide = GUIDE[reason]
    yield f"### {reason.name}\n"
    yield f"{reason.chinese}. SIP {sip_text(reason)}, Q.850 {reason.q850}.\n"
    yield f"{reason.diagnosis}  "
    yield f"{guide.chinese}\n"
    yield f"- Look first at: {guide.look}"
    yield f"- What to do: {guide.do}"
    yield f"- Command: `{guide.general_command()}`"


def sip_text(reason: EndReason) -> str:
    """The status that the caller gets, or how else the reason shows."""
    if reason is EndReason.GatewayRejected:
        return "the gateway's code"
    if reason is EndReason.ScriptRejected:
        return "as the route says"
    return str(reason.status) if reason.status else "BYE"
