"""The answer of a call until its caller has acknowledged it: kept with the record, sent again.

    event                                       what happens
    the gateway answers                         the 200 is stored in the commit that stores the call
    ACK                                         the record is without it from the next time that it
                                                is stored; `Engine.unheard`, which the store is told
                                                once a second, no longer names the call
    the worker dies, and no ACK is known of     its successor sends it at once, then from T1 to T2
                                                apart, until the ACK (RFC 3261 §13.3.1.4)
      the INVITE comes again                    the 200 again
      a re-INVITE of the caller                 counts as the ACK: it has the 200 (§14.1)
      CANCEL                                    both sides are hung up: the caller has not heard
      64*T1 after the answer, but at least      `on_no_ack`, as in the worker that answered
      LEAST_T1S after the takeover

A caller that had the 200 already sends its ACK again (§13.2.2.4). What answers a re-INVITE is not
kept: both sides have their dialog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.core.end_reasons import EndReason
from router.core.flow import Flow
from router.core.packing import pack, unpack
from router.core.transactions.server_invite import InviteServer

if TYPE_CHECKING:
    from router.core.call import Call
    from router.core.leg import Leg

MAX_ANSWER_BYTES = 16_384
"""A longer one is not kept; over UDP none comes near it."""


LEAST_T1S = 16
"""How many T1 a successor waits for the ACK: five sendings, however late it is."""


class AnswerSnapshot(msgspec.Struct, array_like=True):
    """The bytes of a 200 and its transaction; `late`: the ACK will bring the caller's SDP."""

    key: str
    flow: Flow
    data: bytes
    late: bool = False


def keep_answer(call: Call, server: InviteServer, late: bool) -> None:
    """Puts the 200 that has just been answered with into the record that will be stored."""
    data = server.last
    if len(data) <= MAX_ANSWER_BYTES:
        call.record.answer = pack(AnswerSnapshot(server.key, server.flow, data, late))
        call.engine.unheard.add(call.id)


def heard(call: Call) -> None:
    """The caller has acknowledged the answer: no successor has to send it again."""
    if call.record.answer:
        call.record.answer = b""
        call.engine.unheard.discard(call.id)


def hears(leg: Leg) -> None:
    """A re-INVITE came by this leg: whoever sends it has the answer to the first one."""
    server, peer = leg.server, leg.peer
    # What answers the offer of a gateway is in the ACK and nowhere else.
    if isinstance(server, ResumedServer) and peer is not None and not peer.pending_ack:
        heard(leg.call)
        leg.acknowledge_server()


def resume_answer(call: Call) -> None:
    """Sends the answer of an adopted call again, if its caller may not have heard it."""
    record = call.record
    if not record.answer:
        return
    try:
        answer: AnswerSnapshot = unpack(record.answer, AnswerSnapshot)
    except msgspec.DecodeError:
        record.answer = b""
        return
    call.engine.unheard.add(call.id)
    if answer.late and call.b is not None:
        call.b.leave_ack_to_peer(call.b.invite_cseq)
    ResumedServer(call, answer)


class ResumedServer(InviteServer):
    """The transaction of an INVITE that a dead worker has answered, from its 200 on."""

    __slots__ = ("call",)

    def __init__(self, call: Call, answer: AnswerSnapshot) -> None:
        layer = call.engine.layer
        leg = call.a
        super().__init__(layer, answer.key, answer.flow, "")
        self.call: Call | None = call
        self.user = self
        leg.server = self
        leg.server_cseq = leg.invite_cseq
        # A stream may have died with the worker: then the way is that of our own requests, which
        # opens one (RFC 3261 §18.2.2). One of another worker is tried once, in case it lives.
        way = answer.flow if answer.flow.transport == "udp" else leg.flow
        if answer.flow.slot == call.engine.slot:
            self.flow = way
        waited_ms = max(layer.now - call.cdr.answered, 0)
        self.resume(answer.data, max(layer.timeout - waited_ms, LEAST_T1S * layer.t1))
        self.flow = way

    def on_retransmission(self) -> None:
        """The INVITE came again: the peer has heard no answer."""
        if self.last:
            self.layer.resend(self.last, self.flow)

    def acknowledged(self) -> None:
        """The ACK came; nothing of the call is known any more."""
        super().acknowledged()
        self.call = None

    def on_cancel(self, server: InviteServer) -> None:
        """The caller gives up: it has not heard the answer, and by now it never wants to."""
        if self.call is not None:
            self.call.hang_up(EndReason.Cancelled, "caller")

    def on_no_ack(self, server: InviteServer) -> None:
        """Neither to the dead worker nor to us came an ACK."""
        call, self.call = self.call, None
        if call is not None:
            call.on_no_ack(self)
