"""Which CDRs somebody wants to see: the filters, kept apart from where the CDRs are."""

from __future__ import annotations

import msgspec

from router.store.records import Cdr

MIN_TAIL = 6


class CdrQuery(msgspec.Struct, frozen=True):
    """Filters over CDRs; an empty one keeps everything.

    Times are epoch ms of arrival, as the id has it: from `since_ms` to before `until_ms`, 0 for no
    bound. `end_reason` matches with or without the code in brackets, so "GatewayRejected" finds
    "GatewayRejected(503)". `call_id` is the Call-ID of any leg. `number` is the caller's or the
    called number, as it came or went out; one of at least MIN_TAIL digits may leave out how it
    begins, such as 0049 for 49. `limit` 0 is no limit.
    """

    since_ms: int = 0
    until_ms: int = 0
    gateway: str = ""
    account: str = ""
    callee_prefix: str = ""
    end_reason: str = ""
    limit: int = 0
    call_id: str = ""
    caller_prefix: str = ""
    trunk: str = ""
    phone: str = ""
    number: str = ""

    def matches(self, cdr: Cdr) -> bool:
        """Whether the CDR passes every filter (the limit is the reader's business)."""
        return (
            self.first_id() <= cdr.id
            and (not self.until_ms or cdr.id < self.end_id())
            and (not self.account or cdr.account == self.account)
            and (not self.callee_prefix or cdr.callee_in.startswith(self.callee_prefix))
            and (not self.gateway or self._tried_gateway(cdr))
            and (not self.end_reason or self._ended_so(cdr.end_reason))
            and (not self.call_id or self._has_call_id(cdr))
            and (not self.caller_prefix or cdr.caller_in.startswith(self.caller_prefix))
            and (not self.trunk or cdr.trunk == self.trunk)
            and (not self.phone or cdr.phone == self.phone)
            and (not self.number or self._has_number(cdr))
        )

    def first_id(self) -> str:
        """The smallest id a call that arrived at `since_ms` can have."""
        return f"{max(self.since_ms, 0):012x}"

    def end_id(self) -> str:
        """The smallest id a call that arrived at `until_ms` can have; no bound when that is 0."""
        return f"{max(self.until_ms, 0):012x}"

    def _tried_gateway(self, cdr: Cdr) -> bool:
        return cdr.gateway == self.gateway or any(
            attempt.gateway == self.gateway for attempt in cdr.attempts
        )

    def _has_call_id(self, cdr: Cdr) -> bool:
        return self.call_id in (cdr.call_id, cdr.b_call_id) or any(
            attempt.b_call_id == self.call_id for attempt in cdr.attempts
        )

    def _has_number(self, cdr: Cdr) -> bool:
        number = self.number.lstrip("+0") or self.number
        numbers = (cdr.caller_in, cdr.callee_in, cdr.caller_out, cdr.callee_out)
        if len(number) < MIN_TAIL:
            return self.number in numbers
        return any(one.endswith(number) for one in numbers)

    def _ended_so(self, reason: str) -> bool:
        return reason == self.end_reason or reason.partition("(")[0] == self.end_reason
