"""Where the messages of a call meet its media session: what waits for which SDP, and what then.

    message                                   step                        when the relay fails
    INVITE to a gateway                       OFFER of the caller         the attempt has failed;
                                                                          its own fault: 488
    18x, 200 of it                            ANSWER; without an offer    the attempt has failed, a
                                              in the INVITE: OFFER        200 gets ACK and BYE
    ACK, PRACK after such an OFFER            ANSWER                      the call ends
    re-INVITE, UPDATE                         OFFER                       500 or 488, the call goes
                                                                          on
    its response                              ANSWER, or OFFER            the call ends
    its refusal                               what was agreed before      the decision says so
    answer to a refresh of ours               OFFER: the media may have   nothing: it only confirms
                                              moved; or ANSWER            what was agreed before

Only bodies of type application/sdp are read; what else there is passes as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from router.core.decision import CUT_OFF, RELAYED
from router.core.end_reasons import EndReason, reason_header
from router.core.media.session import ANSWER, OFFER, PASS, Media, Step, Wish
from router.core.session_headers import sdp_of
from router.core.transactions.client_invite import InviteClient
from router.core.transactions.layer import ClientTransaction
from router.sip.message import Request, Response

if TYPE_CHECKING:
    from router.core.attempt import Attempt
    from router.core.call import Call
    from router.core.leg import Leg
    from router.core.relay import Relay


def media_of(leg: Leg) -> Media | None:
    """The session that this leg's media go through; the leg to the gateway holds it."""
    if leg.media is not None:
        return leg.media
    return leg.peer.media if leg.peer is not None else None


# -- attempts -------------------------------------------------------------------------------------


def begin(attempt: Attempt, call: Call, leg: Leg, wish: Wish) -> None:
    """Sends an attempt's INVITE when the relay has rewritten its offer."""
    media = leg.media = Media(call.engine, leg, wish)
    sdp = sdp_of(call.request) if call.request is not None else b""
    if not sdp:
        attempt.begin(call, leg)
        return

    def go_on(rewritten: bytes) -> None:
        media.offered = rewritten
        attempt.begin(call, leg)

    media.hold(Step(OFFER, attempt, True, sdp, go_on, attempt.on_no_relay, _nothing))


def holds_response(
    media: Media, attempt: Attempt, client: ClientTransaction, response: Response
) -> bool:
    """Whether a response of a gateway waits; then it comes to `attempt.take` in its turn."""
    status, sdp = response.status, sdp_of(response)
    if status == 100 or attempt.status:
        return False
    waiting = media.holds(client)
    if not (sdp and status < 300) and not waiting:
        return False
    if media.holds_final(client):
        return True  # the same again; what a second fork says, it will say again
    final = status >= 200

    def go_on(rewritten: bytes) -> None:
        response.body = rewritten
        attempt.take(client, response)

    def lost(why: str, bad: bool) -> None:
        if final:
            attempt.refuse_answer(response)
        attempt.on_no_relay(why)

    def give_up() -> None:
        if final:  # it has to be acknowledged
            attempt.take(client, response)

    kind = PASS if not sdp or status >= 300 else ANSWER if media.offered else OFFER
    body = sdp if kind else response.body
    media.hold(Step(kind, client, False, body, go_on, lost, give_up, final))
    return True


# -- inside the call ------------------------------------------------------------------------------


def hold_request(media: Media, relay: Relay, request: Request) -> None:
    """Keeps a request with SDP until it may be passed on."""
    call = relay.call
    late = request.method == "PRACK" and not media.offered and not call.cdr.answered

    def go_on(rewritten: bytes) -> None:
        if relay.is_taken_back:
            media.take_back(relay)
        else:
            request.body = rewritten
            relay.pass_on(request)

    def lost(why: str, bad: bool) -> None:
        call.cdr.decision.append(RELAYED + why)
        relay.refuse(488 if bad else 500)
        media.take_back(relay)

    by_caller = relay.source is call.a
    media.hold(Step(
        ANSWER if late else OFFER, relay, by_caller, sdp_of(request), go_on, lost,
        lambda: relay.refuse(487),
    ))


def hold_response(
    media: Media, relay: Relay, client: ClientTransaction, response: Response, offered: bool
) -> bool:
    """Whether the response to such a request waits; then it comes to `relay.take` in its turn."""
    status, sdp = response.status, sdp_of(response)
    if not (sdp and status < 300) and not media.holds(client):
        return False
    if media.holds_final(client):
        return True
    call = relay.call

    def go_on(rewritten: bytes) -> None:
        response.body = rewritten
        relay.take(client, response)

    def lost(why: str, bad: bool) -> None:
        _end(call, why)

    def give_up() -> None:
        if isinstance(client, InviteClient) and 200 <= status < 300:
            relay.sink.send_ack(client.cseq)
        if status >= 200:
            relay.refuse(487)

    kind = PASS if not sdp or status >= 300 else ANSWER if offered else OFFER
    body = sdp if kind else response.body
    media.hold(Step(
        kind, client, relay.sink is call.a, body, go_on, lost, give_up, status >= 200
    ))
    return True


def hold_ack(
    media: Media, leg: Leg, request: Request, pass_on: Callable[[Leg, Request], None]
) -> None:
    """Keeps the ACK that brings the answer to a peer's offer."""
    call: Call = leg.call

    def go_on(rewritten: bytes) -> None:
        request.body = rewritten
        pass_on(leg, request)
        media.agree()

    def lost(why: str, bad: bool) -> None:
        _end(call, why)

    media.hold(Step(
        ANSWER, leg, leg is call.a, sdp_of(request), go_on, lost, _nothing
    ))


def hold_refresh(
    media: Media, leg: Leg, response: Response, kind: str, go_on: Callable[[], None]
) -> None:
    """Keeps what a peer answers to a re-INVITE of ours until the relay knows of it.

    Where no relay answers, the answer counts as one that says what was said before.
    """
    call: Call = leg.call

    def known(rewritten: bytes) -> None:
        response.body = rewritten
        go_on()
        media.agree(leg)

    def lost(why: str, bad: bool) -> None:
        call.cdr.decision.append(RELAYED + why)
        response.body = b""
        go_on()

    media.hold(Step(kind, leg, leg is call.a, sdp_of(response), known, lost, _nothing))


def _end(call: Call, why: str) -> None:
    """An agreement between the peers cannot be carried out."""
    call.cdr.decision.append(f"{CUT_OFF}the media relay failed, {why}")
    call.hang_up(EndReason.ServerFailure)


def refusal_lines() -> str:
    """The header lines of the BYE for an answer that cannot be used."""
    return reason_header(EndReason.NoAvailableRouter.q850)


def _nothing() -> None:
    """What waited was nobody's but the session's."""
