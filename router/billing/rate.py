"""What a call costs by a rate: pure arithmetic on integers (4-calls, section 5).

Knows no account, no clock and no file. Amounts are millionths of the currency's unit.
"""

from __future__ import annotations

from typing import NamedTuple

MILLIONTHS = 1_000_000
MAX_DECIMALS = 6
DEFAULT_HOLD_PRECISION_MS = 50

NET = "net"
LOCAL = "local"
NATIONAL = "national"
INTERNATIONAL = "international"
KINDS = (NET, LOCAL, NATIONAL, INTERNATIONAL)


class Rate(NamedTuple):
    """The price of calls to the numbers that begin with `prefix` ("" is every number).

    `rate_per_min` and `connect_fee` are in millionths; `kind` is one of KINDS, or "" where the
    file gave none. It holds from `valid_from` up to, and without, `valid_to`: epoch ms, 0 for no
    bound.
    """

    prefix: str
    rate_per_min: int
    connect_fee: int = 0
    first_s: int = 1
    cycle_s: int = 1
    free_s: int = 0
    kind: str = ""
    name: str = ""
    enabled: bool = True
    valid_from: int = 0
    valid_to: int = 0

    def holds_at(self, now_ms: int) -> bool:
        """Whether it is enabled and valid at a moment."""
        return (
            self.enabled
            and self.valid_from <= now_ms
            and (not self.valid_to or now_ms < self.valid_to)
        )


def whole_seconds(duration_ms: int, hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS) -> int:
    """A duration in whole seconds: rounded up, save that a remainder under the precision goes."""
    seconds, rest_ms = divmod(duration_ms, 1000)
    return seconds + 1 if rest_ms and rest_ms >= hold_precision_ms else seconds


def billed_seconds(rate: Rate, seconds: int) -> int:
    """The seconds that are billed of a call of so many whole seconds.

    The free ones come first and are never billed; what begins after them is the first period,
    whole, and then whole cycles.
    """
    chargeable = seconds - rate.free_s
    if chargeable <= 0:
        return 0
    beyond = chargeable - rate.first_s
    if beyond <= 0:
        return rate.first_s
    return rate.first_s - (-beyond // rate.cycle_s) * rate.cycle_s


def rate_call(
    rate: Rate,
    duration_ms: int,
    hold_precision_ms: int = DEFAULT_HOLD_PRECISION_MS,
    fee_decimals: int = MAX_DECIMALS,
) -> tuple[int, int]:
    """What an answered call comes to: (billed seconds, charge in millionths).

    The connect fee is due for every answered call, also when none of its time is billed. The sum
    is rounded half up to `fee_decimals` (0 to 6) decimals, once.
    """
    billed_s = billed_seconds(rate, whole_seconds(duration_ms, hold_precision_ms))
    step = 10 ** (MAX_DECIMALS - fee_decimals)
    sixtieths = rate.connect_fee * 60 + rate.rate_per_min * billed_s
    return billed_s, (sixtieths + 30 * step) // (60 * step) * step
