"""What to do about a call: the guide to its end reason with the call's own names filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from router.core.decision import number_after
from router.core.end_reasons import EndReason
from router.core.reason_guide import GUIDE, PLACEHOLDERS
from router.store.records import Cdr


def command_for(cdr: Cdr, reason: EndReason) -> str:
    """The command that shows the cause, ready to be pasted into a shell."""
    return GUIDE[reason].command.format_map(_facts(cdr))


def advice(cdr: Cdr, reason: EndReason) -> list[str]:
    """Lines under a CDR: where to look first, what to do, the command."""
    if reason is EndReason.Normal:
        return []
    guide = GUIDE[reason]
    lines = [f"Look first at: {guide.look}", f"What to do: {guide.do}"]
    command = command_for(cdr, reason)
    return lines if command == f"trunkline cdr show {cdr.id}" else [*lines, f"Command: {command}"]


def _facts(cdr: Cdr) -> Mapping[str, str]:
    """What fills a command; the general word where the call never had it."""
    own = {
        "id": cdr.id,
        "callee": number_after(cdr.decision, "callee", cdr.callee_in),
        "caller": cdr.caller_in,
        "source": cdr.source,
        "account": cdr.account,
        "trunk": f"{cdr.account}/{cdr.trunk}" if cdr.trunk else "",
        "gateway": cdr.gateway or (cdr.attempts[-1].gateway if cdr.attempts else ""),
        "phone": cdr.phone,
    }
    return {
        name: shlex.quote(own[name]) if own[name].isprintable() and own[name] else general
        for name, general in PLACEHOLDERS.items()
    }
