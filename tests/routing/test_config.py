"""What routes.cfg says merged with the defaults, and which level of a setting wins."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from routed import config_of

from router.core.flow import Listener
from router.core.parameters import CallTimers, TimerDefaults
from router.routing.objects import DEFAULT_SWITCH_ON
from router.store.ops import UNLIMITED, Hold
from router.store.records import Cdr

GATEWAY = "gateway gw { address = 10.0.1.1:5070  prefixes = 86 }\n"


def test_an_empty_configuration_is_all_defaults() -> None:
    config = config_of("")
    assert config.listeners == [Listener("udp", "127.0.0.1", 5060)]
    assert config.workers == 0
    assert config.state == Path("/etc/trunkline/state")
    assert config.metrics is None
    assert config.timers == TimerDefaults()
    assert (config.max_attempts, config.shutdown_ms) == (5, 30_000)
    assert config.gateways == {} and config.accounts == {}
    assert config.max_duration_ms(Cdr(gateway="gone")) == 7_200_000
    assert len(config.hash) == 12


def test_every_global_setting_is_used() -> None:
    config = config_of(
        'listen = udp:10.0.0.1:5060, tcp:10.0.0.1:5061, udp:[2001:db8::1]:5060\n'
        'workers = 3\nstate = "/var/lib/trunkline"\nmetrics = 127.0.0.1:9464\n'
        "t1 = 100ms\nt2 = 1s\nmax_attempts = 2\nshutdown_timeout = 5s\nmax_duration = 1m\n"
    )
    assert config.listeners == [
        Listener("udp", "10.0.0.1", 5060), Listener("tcp", "10.0.0.1", 5061),
        Listener("udp", "2001:db8::1", 5060),
    ]
    assert config.workers == 3
    assert config.state == Path("/var/lib/trunkline")
    assert config.metrics == ("127.0.0.1", 9464)
    assert (config.timers.t1_ms, config.timers.t2_ms) == (100, 1_000)
    assert (config.max_attempts, config.shutdown_ms) == (2, 5_000)
    assert config.max_duration_ms(Cdr(gateway="gone")) == 60_000


def test_a_gateway_and_its_defaults() -> None:
    gateway = config_of(GATEWAY).gateways["gw"]
    assert (gateway.transport, gateway.host, gateway.port) == ("udp", "10.0.1.1", 5070)
    assert gateway.prefixes == ("86",)
    assert (gateway.priority, gateway.lines) == (1, UNLIMITED)
    assert (gateway.switch_after_ring, gateway.switch_after_media) == (False, False)
    assert all(
        gateway.switches_on(code) == any(low <= code <= high for low, high in DEFAULT_SWITCH_ON)
        for code in range(300, 700)
    )


def test_every_setting_of_a_gateway_is_used() -> None:
    config = config_of(
        "gateway gw { address = 10.0.1.1;transport=tcp  prefixes = 0086, 8613  priority = 4\n"
        "  lines = 9  switch_on = 404, 480-489  switch_after_ring = true\n"
        "  switch_after_media = true  ringing_timeout = 7s }\n"
    )
    gateway = config.gateways["gw"]
    assert (gateway.transport, gateway.port) == ("tcp", 5060)
    assert gateway.prefixes == ("0086", "8613")
    assert (gateway.priority, gateway.lines) == (4, 9)
    assert [code for code in range(300, 700) if gateway.switches_on(code)] == [
        404, *range(480, 490),
    ]
    assert gateway.switch_after_ring and gateway.switch_after_media
    assert config.gateways_by_key == {"gateway:gw": gateway}
    assert config.prefixes.find("0086139") == [gateway]


TRUNK = "account acme { lines = 30 %s trunk office { ips = 192.0.2.0/24 %s } }\n"


def test_accounts_and_trunks() -> None:
    config = config_of(
        "account acme { lines = 30  status = locked  expires = 2026-12-31\n"
        '  trunk office { ips = 192.0.2.0/24, 198.51.100.7  caller_prefix = "49"  priority = 3\n'
        "    lines = 5  number_length = 3-15 } }\n"
        "account free { trunk any { ips = 203.0.113.0/24 } }\n"
    )
    account = config.accounts["acme"]
    assert (account.lines, account.locked, account.expires) == (30, True, date(2026, 12, 31))
    trunk = config.trunks.find("198.51.100.7", "4930")
    assert trunk is not None
    assert (trunk.account, trunk.name, trunk.priority) == (account, "office", 3)
    assert trunk.number_length == (3, 15)
    assert trunk.holds == (Hold("account:acme", 30), Hold("trunk:acme/office", 5))
    assert config.trunks.find("198.51.100.7", "1000") is None
    free = config.trunks.find("203.0.113.9", "x")
    assert free is not None
    assert (free.lines, free.account.lines, free.account.locked) == (UNLIMITED, UNLIMITED, False)


def trunk_timers(text: str) -> CallTimers:
    config = config_of(text)
    trunk = config.trunks.find("192.0.2.1", "1000")
    assert trunk is not None
    assert config.timers_for(trunk) is config.timers_for(trunk)
    return config.timers_for(trunk)["gateway:gw"]


def test_the_gateways_timer_beats_the_trunks_and_the_trunks_the_global_one() -> None:
    gateway = "gateway gw { address = 10.0.1.1  prefixes = 86  ringing_timeout = 60s }\n"
    trunk = TRUNK % ("", "ringing_timeout = 70s  trying_timeout = 15s")
    everywhere = "ringing_timeout = 80s\ntrying_timeout = 16s\ninvite_timeout = 9s\n"
    timers = trunk_timers(everywhere + gateway + trunk)
    assert (timers.ringing_ms, timers.trying_ms, timers.invite_ms) == (60_000, 15_000, 9_000)
    assert timers.max_duration_ms == 7_200_000


def test_what_an_account_says_holds_for_its_trunks_unless_they_say_otherwise() -> None:
    account = "max_duration = 90s"
    assert trunk_timers(GATEWAY + TRUNK % (account, "")).max_duration_ms == 90_000
    timers = trunk_timers(GATEWAY + TRUNK % (account, "max_duration = 3m"))
    assert timers.max_duration_ms == 180_000


def test_number_length_is_inherited_from_the_global_settings() -> None:
    config = config_of("number_length = 4-8\n" + GATEWAY + TRUNK % ("", ""))
    trunk = config.trunks.find("192.0.2.1", "1000")
    assert trunk is not None and trunk.number_length == (4, 8)


def test_vos3000s_names_are_the_same_settings() -> None:
    config = config_of("SS_SIP_TIMEOUT_RINGING = 45\n" + GATEWAY + TRUNK % ("", ""))
    trunk = config.trunks.find("192.0.2.1", "1000")
    assert trunk is not None
    assert config.timers_for(trunk)["gateway:gw"].ringing_ms == 45_000


def test_the_longest_duration_is_known_by_gateway() -> None:
    config = config_of(
        "max_duration = 1h\n" + GATEWAY
        + "gateway short { address = 10.0.1.2  prefixes = 1  max_duration = 10m }\n"
    )
    assert config.max_duration_ms(Cdr(gateway="gw")) == 3_600_000
    assert config.max_duration_ms(Cdr(gateway="short")) == 600_000


def test_a_call_that_is_taken_over_lasts_as_long_as_its_account_says() -> None:
    config = config_of(GATEWAY + TRUNK % ("max_duration = 90s", ""))
    cdr = Cdr(gateway="gw", account="acme", trunk="office")
    assert config.max_duration_ms(cdr) == 90_000


def test_screens_rules_and_times_of_a_gateway_and_a_trunk() -> None:
    config = config_of(
        "gateway gw { address = 10.0.1.1  prefixes = 86  caller_allow = 1, 2  caller_deny = 11\n"
        '  in_time = "Mo-Fr 08:00-18:00"  prefix_mode = terminate\n'
        '  callee_out = "86:0086"  caller_out = "1:+1" }\n'
        "account acme { trunk office { ips = 192.0.2.0/24  callee_allow = 86  callee_deny = 861\n"
        '  caller_allow = 3  caller_deny = 31  callee_in = "9:"  caller_in = "8:"\n'
        "  replace_codes = 503:480, 486:600 } }\n" + GATEWAY.replace("gw", "plain")
    )
    gateway, plain = config.gateways["gw"], config.gateways["plain"]
    assert gateway.outward is not None and gateway.callers is not None
    assert (str(gateway.hours), gateway.terminates, gateway.choosy) == (
        "Mo-Fr 08:00-18:00", True, True,
    )
    assert (plain.outward, plain.callers, plain.hours, plain.choosy) == (None, None, None, False)
    assert config.choosy == {"gateway:gw"}
    assert gateway.callers.refusal("12") == ""
    assert gateway.callers.refusal("11") and gateway.callers.refusal("3")
    trunk = config.trunks.find("192.0.2.1", "30")
    assert trunk is not None and trunk.callees is not None and trunk.callers is not None
    assert trunk.callees.refusal("8613") and not trunk.callees.refusal("8620")
    assert trunk.callers.refusal("31") and not trunk.callers.refusal("30")
    assert trunk.inward is not None
    assert trunk.replaced == {503: 480, 486: 600}


def test_a_phone_has_its_number_its_account_and_what_the_account_says() -> None:
    config = config_of(
        "lines = 100\n"
        'account acme {\n  lines = 5\n  ringing_timeout = 30s\n  number_length = 3-9\n'
        '  phone 1001 { password = "secret"  ips = 10.0.0.0/8  lines = 2  callee_in = "0:86" }\n'
        '  phone 1002 { password = "other" }\n}\n'
        'account sub { phone 2001 { password = "third" } }\n'
    )
    assert list(config.phones) == ["1001", "1002", "2001"]
    phone = config.phones["1001"]
    assert (phone.id, phone.number, str(phone), phone.key) == ("1001", "1001", "1001", "phone:1001")
    assert phone.account is config.accounts["acme"]
    assert (phone.password, phone.lines, phone.number_length) == ("secret", 2, (3, 9))
    assert phone.timers == {"ringing_timeout": 30_000}
    assert phone.inward is not None and phone.outward is None
    assert phone.holds == (
        Hold("server:", 100), Hold("account:acme", 5), Hold("phone:1001", 2),
    )
    assert phone.may_come_from("10.1.2.3") and not phone.may_come_from("192.0.2.1")
    other = config.phones["1002"]
    assert other.holds == (Hold("server:", 100), Hold("account:acme", 5))
    assert other.may_come_from("2001:db8::1")
    assert (other.forward_always, other.forward_after_ms) == ("", 20_000)
    assert config.phones["2001"].account.name == "sub"
