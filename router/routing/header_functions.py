"""What routes do to the headers of what is sent on: the part of the context that changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.core.headers import OWN
from router.routing.facts import canonical, one_line, without_lines
from router.sip.grammar import is_token

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.sip.message import Response


class HeaderFunctions:
    """Headers set, added and taken away: of the call, of an attempt, of a response passed on."""

    __slots__ = ()

    if TYPE_CHECKING:
        attempt: Attempt | None
        response: Response | None

        @property
        def _leg(self) -> Any: ...

        def log(self, level: str, text: str) -> None: ...

    def set_header(self, name: str, value: str) -> None:
        """One header of this name with this value, instead of what was there."""
        if self._may_change(name):
            self._remove_header(name)
            self._add_header(name, value)

    def add_header(self, name: str, value: str) -> None:
        """One more header, after the others."""
        if self._may_change(name):
            self._add_header(name, value)

    def remove_header(self, name: str) -> None:
        """No header of this name goes on."""
        if self._may_change(name):
            self._remove_header(name)

    def _may_change(self, name: str) -> bool:
        """Whether there is such a header and it is not the router's own; else that is logged."""
        if is_token(name) and canonical(name) not in OWN:
            return True
        self.log("warning", f'no route can change the header "{name}"')
        return False

    def _add_header(self, name: str, value: str) -> None:
        line = f"{name}: {one_line(value)}\r\n"
        leg = self._leg
        if leg is None:
            return
        if self.response is not None and self.attempt is not None:
            self.attempt.reply_added += line
        else:
            leg.added += line

    def _remove_header(self, name: str) -> None:
        key = canonical(name)
        leg = self._leg
        if leg is None:
            return
        if self.response is not None and self.attempt is not None:
            attempt = self.attempt
            attempt.reply_removed = attempt.reply_removed | {key}
            attempt.reply_added = without_lines(attempt.reply_added, key)
        else:
            leg.removed = leg.removed | {key}
            leg.added = without_lines(leg.added, key)
