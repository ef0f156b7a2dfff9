"""Whose media go through a relay: caller and callee, inheritance, codecs."""

from __future__ import annotations

import pytest
from routed import config_of

from router.core.media.session import Wish

TEXT = """
rtpengine = 192.0.2.8, 192.0.2.9:22222, [2001:db8::8]:2223, 192.0.2.8:2223
media_timeout = 20s
codecs = opus
gateway plain { address = 10.0.0.1  prefixes = 1 }
gateway relayed { address = 10.0.0.2  prefixes = 2  media = relay }
gateway converted { address = 10.0.0.3  prefixes = 3  media = transcode  codecs = G729, PCMU }
account plain {
    trunk t { ips = 10.1.0.0/24 }
    trunk more { ips = 10.1.1.0/24  media = transcode }
    phone 1001 { password = "x" }
}
account relayed {
    media = relay
    trunk t { ips = 10.2.0.0/24 }
    trunk less { ips = 10.2.1.0/24  media = pass }
    phone 2001 { password = "x" }
    phone 2002 { password = "x"  media = transcode }
    phone 2003 { password = "x"  media = pass }
}
"""
RELAY = Wish((), 20_000)
GLOBAL = Wish(("opus",), 20_000)
OWN = Wish(("G729", "PCMU"), 20_000)


@pytest.mark.parametrize(
    ("caller", "wishes"),
    [
        ("trunk:plain/t", {"relayed": RELAY, "converted": OWN}),
        ("phone:1001", {"relayed": RELAY, "converted": OWN}),
        ("trunk:plain/more", {"plain": GLOBAL, "relayed": GLOBAL, "converted": OWN}),
        ("trunk:relayed/t", {"plain": RELAY, "relayed": RELAY, "converted": OWN}),
        ("trunk:relayed/less", {"relayed": RELAY, "converted": OWN}),
        ("phone:2001", {"plain": RELAY, "relayed": RELAY, "converted": OWN}),
        ("trunk:/", {"relayed": RELAY, "converted": OWN}),
    ],
)
def test_of_caller_and_gateway_the_one_that_asks_for_more_has_its_way(
    caller: str, wishes: dict[str, Wish]
) -> None:
    media = config_of(TEXT).media
    assert media.to_gateways(caller) == {f"gateway:{name}": one for name, one in wishes.items()}


@pytest.mark.parametrize(
    ("caller", "wishes"),
    [
        ("trunk:plain/t", {"2001": RELAY, "2002": GLOBAL}),
        ("trunk:relayed/t", {"1001": RELAY, "2001": RELAY, "2002": GLOBAL, "2003": RELAY}),
        ("phone:2003", {"2001": RELAY, "2002": GLOBAL}),
    ],
)
def test_phones_are_asked_as_gateways_are(caller: str, wishes: dict[str, Wish]) -> None:
    phones = [f"phone:{number}" for number in (1001, 2001, 2002, 2003)]
    found = config_of(TEXT).media.to_phones(caller, phones)
    assert found == {f"phone:{number}": one for number, one in wishes.items()}


def test_relays_are_named_once_with_their_ports() -> None:
    assert list(config_of(TEXT).media.relays) == [
        ("192.0.2.8", 2223), ("192.0.2.9", 22222), ("2001:db8::8", 2223),
    ]


def test_by_default_nothing_is_relayed() -> None:
    media = config_of("gateway g { address = 10.0.0.1  prefixes = 1 }").media
    assert not media.to_gateways("trunk:a/b") and not media.to_phones("trunk:a/b", ["phone:1"])
    assert not media.relays


def test_defaults_of_what_is_relayed() -> None:
    media = config_of(
        "rtpengine = 192.0.2.8\n"
        "gateway g { address = 10.0.0.1  prefixes = 1  media = transcode }"
    ).media
    assert media.to_gateways("") == {"gateway:g": Wish(("PCMA", "PCMU", "G722"), 60_000)}


def test_where_calls_are_only_tried_no_relay_is_asked() -> None:
    config = config_of(TEXT)
    config.try_only()
    assert config.is_test and not config.media.relays
    assert not config.media.to_gateways("trunk:relayed/t")
    assert not config.media.to_phones("phone:2001", ["phone:2002"])
