"""Who asks the store, and which call anything works for.

What a turn asks of the store is answered in the same turn; whoever asked hears the answer, or that
there will be none. A call asks for its gateways, a registrar for its bindings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from router.core.call import Call

if TYPE_CHECKING:
    from router.core.transactions.server_invite import InviteServer
    from router.core.transactions.server_request import RequestServer


class Asker(Protocol):
    """One that hears what the store says to an operation (`Engine.ask`).

    `server` is who gets the 500 when hearing it goes wrong. An asker whose operation could not be
    stored is told so, and the operation is not tried again.
    """

    @property
    def server(self) -> InviteServer | RequestServer | None: ...

    def on_stored(self, answer: Any) -> None:
        """The operation was committed, with this answer; not heard when it has none."""

    def on_not_stored(self) -> None:
        """The operation could not be committed: nothing of it is stored."""


def call_of(worker: Any) -> Call | None:
    """The call that a transaction, an attempt or an asker works for; None when it is nobody's."""
    if isinstance(worker, Call):
        return worker
    call = getattr(worker, "call", None)
    if call is None:
        user = getattr(worker, "user", None)
        call = user if isinstance(user, Call) else getattr(user, "call", None)
    return call if isinstance(call, Call) else None
