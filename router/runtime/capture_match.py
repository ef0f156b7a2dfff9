"""Whether a call is one that an operator wants captured, as far as it can be told by now."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from zlib import crc32

from router.core.call import Call
from router.core.states import ENDED
from router.store.objects import ALL_SHARES, CaptureOrder

YES, OPEN, NO = 2, 1, 0
"""OPEN: what it asks of the call may still become true."""
MAX_KNOWN_HOSTS = 10_000


class Wanted:
    """One order, made ready for many calls."""

    __slots__ = ("_hosts", "_network", "order")

    def __init__(self, order: CaptureOrder) -> None:
        self.order = order
        self._network = ip_network(order.source, strict=False) if order.source else None
        self._hosts: dict[str, bool] = {}

    @property
    def is_of_calls(self) -> bool:
        """Whether only calls can match, and no registration or ping."""
        order = self.order
        return bool(order.account or order.number or order.gateway)

    def match(self, call: Call | None, call_id: bytes, host: str) -> int:
        """YES, OPEN or NO for a call, or for what is no call (yet).

        `call_id` is of its first message, and `host` where that came from, or went to.
        """
        order = self.order
        if order.share < ALL_SHARES and crc32(call_id) % ALL_SHARES >= order.share:
            return NO
        if self._network is not None and not self._is_within(host, self._network):
            return NO
        if not self.is_of_calls:
            return YES
        if call is None:
            return OPEN
        cdr = call.cdr
        found = YES
        if order.account:
            if not cdr.account:
                found = OPEN
            elif order.account != cdr.account and order.account not in cdr.agent_path.split("/"):
                return NO
        if order.gateway and order.gateway != cdr.gateway and all(
            one.gateway != order.gateway for one in cdr.attempts
        ):
            found = OPEN
        if order.number and not _has_number(call, order.number):
            found = OPEN
        return NO if found == OPEN and call.state == ENDED else found

    def _is_within(self, host: str, network: IPv4Network | IPv6Network) -> bool:
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= MAX_KNOWN_HOSTS:
                self._hosts.clear()
            known = self._hosts[host] = _is_within(host, network)
        return known


def _is_within(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address) in network


def _has_number(call: Call, beginning: str) -> bool:
    cdr = call.cdr
    return any(
        one.lstrip("+").startswith(beginning)
        for one in (
            cdr.callee_in, cdr.caller_in, call.callee, call.caller, cdr.callee_out, cdr.caller_out,
        )
    )
