"""What colours mean, on every dashboard: thresholds, end reasons, response codes, fixed curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from router.core.end_reasons import EndReason

GOOD, WARN, BAD, CALM = "green", "orange", "red", "blue"
"""What a colour means, everywhere: as it should be, look soon, look now, a fact."""
LIMIT: Final = "gray"
"""What may be used at most."""

REASONS: Final = {
    # answered; then what the called party or the caller decided
    EndReason.Normal: "#73BF69",
    EndReason.UserBusy: "#8AB8FF", EndReason.Cancelled: "#5794F2",
    EndReason.ResponseTimeout: "#3274D9",
    # routing: orange
    EndReason.NoAvailableRouter: "#FF780A", EndReason.NotFound: "#FFB357",
    EndReason.CalledNotOnline: "#FFCB7D", EndReason.RateNotFound: "#D9590B",
    EndReason.ForwardingLoop: "#B85C1E", EndReason.ScriptRejected: "#FFE3BA",
    # the account, and who it is: purple and pink
    EndReason.InsufficientBalance: "#B877D9", EndReason.AccountLocked: "#A352CC",
    EndReason.AccountExpired: "#DEB6F2", EndReason.CallNotPermitted: "#7B52E8",
    EndReason.AuthFailed: "#E85CC5", EndReason.IpBlocked: "#A0208C",
    EndReason.IllegalCall: "#F7A8E0", EndReason.CallerNumberRestricted: "#7F73E0",
    EndReason.CalledNumberRestricted: "#A99CF2", EndReason.Unregistered: "#C25CFF",
    # capacity: yellow; media: teal
    EndReason.ConnectionLimitExceeded: "#F2CC0C", EndReason.Overloaded: "#B89A00",
    EndReason.CodecMismatch: "#2CC8B0", EndReason.MediaTimeout: "#8FE3D5",
    # the network, gateways and the server: red
    EndReason.ConnectionTimeout: "#F2495C", EndReason.ProceedingTimeout: "#FF7383",
    EndReason.SessionTimeout: "#FFA6B0", EndReason.GatewayRejected: "#C4162A",
    EndReason.ServerFailure: "#B0182B", EndReason.SystemRestart: "#E02F44",
    EndReason.OperatorKill: "#8E8E99",
}
"""Green is an answered call, blue what people decided; the others are the drawers to look into."""

CODES: Final = {
    "486": "#8AB8FF", "600": "#5794F2", "487": "#3274D9", "603": "#1F60C4",
    "404": "#FFB357", "480": "#FFCB7D", "484": "#D9590B", "408": "#FF780A", "482": "#A84300",
    "402": "#B877D9", "403": "#8F3BB8", "401": "#DEB6F2", "407": "#E85CC5",
    EndReason.ResponseTimeout.name: REASONS[EndReason.ResponseTimeout],
    EndReason.ConnectionTimeout.name: "#FFA6B0", EndReason.ProceedingTimeout.name: "#FF9830",
    "503": "#F2495C", "500": "#8B0A1A", "502": "#FF7383", "504": "#C4162A", "488": "#2CC8B0",
}
"""The same for responses: blue people, orange routing, purple the account, red the network."""


class Step(NamedTuple):
    """From this value on, this colour; None: from the lowest on."""

    value: float | None
    colour: str


def thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    """Steps as Grafana has them."""
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=one.value, color=one.colour) for one in steps])
    )


def fixed(colour: str) -> Any:
    """The property of a field that always has this colour."""
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def by_name(label: str) -> dict[str, str]:
    """The colours of series that are named for a label's values; none where they mean nothing."""
    if label == "reason":
        return {reason.name: colour for reason, colour in REASONS.items()}
    return CODES if label == "code" else {}
