"""Metrics of calls and of the gateways that take them."""

from __future__ import annotations

from typing import Final

from router.runtime.catalogue.shape import Metric, Section

CALLS: Final = Section("Calls", (
    Metric(
        "call_attempts", "counter", ("gateway",),
        "Attempts to place a call through a gateway.",
        "Compare gateways: one that gets none is down, full, or its prefixes match nothing.",
        "One INVITE each; resends, and the INVITE again with credentials, are not counted.",
    ),
    Metric(
        "call_answers", "counter", ("gateway",),
        "Attempts that were answered; divided by call_attempts it is the ASR.",
        "If it falls on one gateway only, demote it and ask its carrier.",
        "Counted at the answer.",
    ),
    Metric(
        "call_attempt_failures", "counter", ("gateway", "code"),
        "Attempts that failed, by the gateway's status, or by our end reason if it gave none.",
        "A code that rises says what its carrier has to explain.",
        "`503`, or the limit of ours that came first: `ConnectionTimeout`, `ProceedingTimeout`, "
        "`ResponseTimeout`. Counted also when another gateway then took the call; what the caller "
        "gave up is not counted. A worker keeps 64 codes apart.",
    ),
    Metric(
        "calls", "counter", ("gateway", "reason"),
        "Calls that have ended, by last gateway and end reason.",
        "A reason that rises tells where to look: trunkline cdr --reason NAME.",
        "The end reason is that of the [CDR](cdr.md).",
    ),
    Metric(
        "call_duration_seconds", "histogram", (),
        "Answer to end of answered calls (ACD is sum / count).",
        "A sudden fall means calls are cut or carry no audio.",
        "RFC 6076's SDT.",
    ),
    Metric(
        "call_answered_seconds", "counter", ("gateway",),
        "How long answered calls of a gateway were; divided by call_answers it is its ACD.",
        "A gateway whose ACD is far below the others' has bad audio or false answers.",
        "Counted when the call has ended.",
    ),
    Metric(
        "post_dial_delay_seconds", "histogram", ("gateway",),
        "INVITE sent to a gateway until it rang or answered (PDD).",
        "If one gateway is slow, lower its priority or ask its carrier.",
        "RFC 6076's SRD of attempts that succeed.",
    ),
    Metric(
        "call_failure_delay_seconds", "histogram", ("gateway",),
        "INVITE sent to a gateway until the attempt failed.",
        "What callers wait before the next gateway: if it is long, lower its timeouts or priority.",
        "RFC 6076's SRD of attempts that fail.",
    ),
    Metric(
        "disconnect_delay_seconds", "histogram", (),
        "Our BYE until its answer.",
        "If it grows, peers are overloaded or unreachable; above 16 s there was no answer.",
        "RFC 6076's SDD, over the BYEs to callers and to gateways. One without an answer counts "
        "with the 32 s that it was waited for.",
    ),
    Metric(
        "call_mos", "histogram", ("gateway",),
        "Mean opinion score of answered calls, 1 to 5, where rtpengine reports it.",
        "Below 3.6 people complain: ask the carrier, look at the network to it.",
        "Of relayed calls whose sides send RTCP ([media](media.md)): what rtpengine said last, the "
        "mean of all streams. There is none of other calls.",
    ),
    Metric(
        "active_calls", "gauge", ("gateway",),
        "Lines in use on a gateway now.",
        "Near gateway_lines, calls overflow to the next gateway: raise lines or add a gateway.",
    ),
))

GATEWAYS: Final = Section("Gateways", (
    Metric(
        "gateway_lines", "gauge", ("gateway",),
        "Lines a gateway may use, +Inf when routes.cfg sets no limit.",
        "Alert on active_calls / gateway_lines.",
    ),
    Metric(
        "gateway_up", "gauge", ("gateway",),
        "1 when the gateway is a candidate, 0 while down, set aside, or not registered with.",
        "At 0 ask trunkline gateways show NAME; check address and network.",
        "Set aside: by a Retry-After of its own.",
    ),
    Metric(
        "gateway_pings", "counter", ("gateway", "result"),
        "OPTIONS to a gateway, answered or missed.",
        "If misses rise, packets are lost or it is overloaded: three in a row take it down.",
        "A 503 is a miss.",
    ),
    Metric(
        "gateway_registrations", "counter", ("gateway", "result"),
        "Our REGISTERs to a gateway: registered, refused or missed.",
        "If they fail, no calls go there: trunkline gateways show NAME says why.",
        "`missed`: no answer. A challenge, and a demand for another time, are no results.",
    ),
    Metric(
        "gateway_registration_delay_seconds", "histogram", ("gateway",),
        "Our REGISTER to a gateway until its 200.",
        "If it grows, its registrar is overloaded: ask its carrier.",
        "RFC 6076's RRD, of the REGISTER that got it.",
    ),
    Metric(
        "gateway_costs", "counter", ("gateway",),
        "What calls have cost us at a gateway; charges less costs is the margin.",
        "If it is negative, see trunkline cdr stats --by gateway.",
        "By the gateway's deck, in its currency, when the call has ended.",
    ),
    Metric(
        "media_requests", "counter", ("relay", "result"),
        "Questions to rtpengine: answered, missed or refused.",
        "If one is missed it is down: calls go to the others, or fail when there is none.",
        "`missed`: no answer in a second ([media](media.md)).",
    ),
))
