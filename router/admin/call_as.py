"""Who a test call comes from: a trunk's address on this machine, or a phone with its password."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from router.admin.object_changes import Known
from router.admin.wrong_value import WrongValue
from router.core.flow import Flow
from router.core.parameters import Login
from router.routing.config import DEFAULT_LISTEN

FIB: Final = Path("/proc/net/fib_trie")
LOOPBACK: Final = IPv4Network("127.0.0.0/8")
ANY: Final = "0.0.0.0"
DEFAULT_CALLER: Final = "1000"
MOST_TRIED: Final = 32
_local_host = re.compile(r"(\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL").findall

_CODECS: Final = {
    "pcmu": (0, ""),
    "pcma": (8, ""),
    "g722": (9, ""),
    "g729": (18, ""),
    "opus": (111, "opus/48000/2"),
}
"""Payload type and rtpmap of what can be offered (RFC 3551 §6; opus: RFC 7587 §7)."""


class Caller(NamedTuple):
    """Where a test call comes from, who it says it is, and with what it proves it."""

    source: str
    number: str
    login: Login | None
    told: str
    """In words, for the first line."""


def trunk_caller(known: Known, name: str, number: str) -> Caller:
    """A caller on a trunk; WrongValue, saying what to do, where no address of its is local."""
    block = known.find("trunk", name)
    full = known.full_name("trunk", name)
    values = block.given.values
    networks = values.get("ips", ())
    source = next(filter(_is_ours, _addresses_in(networks)), None)
    if source is None:
        said = ", ".join(map(str, networks)) or "it has none"
        first = next((one for one in networks if isinstance(one, IPv4Network)), None)
        spare = str(_first_of(first)) if first is not None else "192.0.2.1"
        raise WrongValue(
            f"no IPv4 address of this machine is in the networks of trunk {full} ({said}): "
            f"lend it one with ip addr add {spare}/32 dev lo, or add 127.0.0.9 to its `ips` for "
            "tests"
        )
    return Caller(source, number or _number_of(values), None, f"trunk {full}")


def phone_caller(known: Known, name: str, number: str) -> Caller:
    """A caller that is a phone, from an address that belongs to no trunk; WrongValue else."""
    block = known.find("phone", name)
    _, _, own = known.full_name("phone", name).partition("/")
    values = block.given.values
    password = values.get("password", "")
    if not password:
        raise WrongValue(f"phone {own} has no password that is known here: set the variable of "
                         "its env(…), as the router has it")
    trunks = [
        network
        for one in known.all("trunk").values()
        for network in one.given.values.get("ips", ())
    ]
    allowed = values.get("ips") or [LOOPBACK, IPv4Network("0.0.0.0/0")]
    for address in _addresses_in(allowed):
        # A trunk's address would make it a call of the trunk.
        if not any(ip_address(address) in network for network in trunks) and _is_ours(address):
            return Caller(address, number or own, Login(own, password), f"phone {own}")
    raise WrongValue(
        f"phone {own} cannot call from here: each IPv4 address of this machine that it may use is "
        "in a trunk's networks, so that its call would be the trunk's"
    )


def router_flow(known: Known, source: str, given: str) -> Flow:
    """The router's UDP address: as given, or as `listen` of the configuration says."""
    if given:
        host, colon, port = given.rpartition(":")
        if not colon:
            host, port = given, "5060"
        if not _is_ip4(host) or not port.isdigit() or not 0 < int(port) < 65536:
            raise WrongValue(f'--router "{given}" is no IPv4 address and port: 127.0.0.1:5060')
        return Flow("udp", host, int(port), 0)
    for one in known.outcome.settings.values.get("listen") or DEFAULT_LISTEN:
        if one.transport == "udp" and _is_ip4(one.host):
            # Each address of this machine reaches a wildcard; ours is one for certain.
            return Flow("udp", source if one.host == ANY else one.host, one.port, 0)
    raise WrongValue(
        "a test call needs a UDP address with IPv4 in `listen`: name one with --router"
    )


def session_description(host: str, port: int, codecs: str) -> bytes:
    """The SDP that is offered; WrongValue for a codec that is not known."""
    types, maps = [], []
    for name in filter(None, (part.strip().lower() for part in codecs.split(","))):
        if name not in _CODECS:
            raise WrongValue(f'--codec "{name}" is not known: {", ".join(_CODECS)}')
        payload, described = _CODECS[name]
        types.append(str(payload))
        if described:
            maps.append(f"a=rtpmap:{payload} {described}\r\n")
    if not types:
        raise WrongValue(f'--codec "{codecs}" names none: {", ".join(_CODECS)}')
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {' '.join(types)} 101\r\n{''.join(maps)}"
        "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    ).encode()


def _number_of(values: dict[str, Any]) -> str:
    prefix = values.get("caller_prefix", "")
    first = prefix[0] if isinstance(prefix, list | tuple) and prefix else prefix or ""
    return f"{first}{DEFAULT_CALLER}"


def _addresses_in(networks: Any) -> Iterator[str]:
    """Addresses in these networks that this machine may have, as near to certain as can be told."""
    local = _local_addresses()
    for network in networks:
        if not isinstance(network, IPv4Network):
            continue
        if network.num_addresses == 1:
            yield str(network.network_address)
        elif network.overlaps(LOOPBACK):
            # Each address of 127/8 is ours, though no table lists them.
            inside = network if network.subnet_of(LOOPBACK) else LOOPBACK
            count = min(MOST_TRIED, inside.num_addresses - 1)
            for at in range(1, count):
                yield str(inside.network_address + at)
        yield from (one for one in local if IPv4Address(one) in network)


def _first_of(network: IPv4Network) -> IPv4Address:
    return network.network_address + (1 if network.num_addresses > 1 else 0)


def _local_addresses() -> list[str]:
    try:
        return list(dict.fromkeys(_local_host(FIB.read_text())))
    except OSError:
        return []


def _is_ours(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        try:
            opened.bind((address, 0))
        except OSError:
            return False
    return True


def _is_ip4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
