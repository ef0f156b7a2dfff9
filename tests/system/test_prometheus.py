"""A real Prometheus on a router under load: every panel has data, every rule is evaluated."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.handset import Handset
from harness.ports import wait_until
from harness.prometheus import ROOT, Prometheus
from harness.routes import STRANGER, Routes
from harness.switch import Switch

GRAFANA = ROOT / "grafana"
SECONDS = 14
RATE = 8
ACCOUNTS = """
deck retail { file = "retail.csv" }
deck vendor { file = "vendor.csv" }
account acme {
    balance = 1000
    lines = 50
    deck = retail
    trunk office { ips = 127.0.0.1 }
    phone 1001 { password = "secret" }
}
"""
POLICY = """
request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "REGISTER": {
            if (!authenticate()) challenge();
            save();
        }
        case "INVITE": {
            if (!identify()) end(IllegalCall);
            call(gateways($rU));
        }
        default: reply(405);
    }
}
"""
# What a variable of the dashboards stands for, and times that fit a test of seconds.
VALUES = {"$__rate_interval": "8s", "$gateway": ".*", "$account": ".*", "$reason": ".*"}
UNREGISTERED = {
    "trunkline:gateway_registration_delay_seconds:p95_15m", "trunkline:gateway_ira:ratio1h",
    "trunkline:phones_ira:ratio1h", "trunkline:gateway_mos:mean1h",
}
"""No gateway here wants us to register, the one REGISTER came before the first scrape, and no media
are relayed."""
DEAD = "gateway dead { address = 127.0.0.1:9  prefixes = 999  ping = 1s }\n"


@pytest.fixture(scope="module")
def prometheus(module_switch, tmp_path_factory) -> Iterator[Prometheus]:
    """A Prometheus that has seen answered, busy and refused calls, a phone, and a reload."""
    switch: Switch = module_switch(
        Routes(
            pairs=2, accounts=ACCOUNTS, policy=POLICY, more=DEAD,
            first={"deck": "vendor"}, second={"deck": "vendor"},
        ),
        workers=2, start=False,
    )
    for name, price in (("retail", "0.6"), ("vendor", "0.3")):
        (switch.folder / f"{name}.csv").write_text(f"prefix,rate_per_min\n7,{price}\n9,{price}\n")
    switch.start()
    server = Prometheus(
        tmp_path_factory.mktemp("prometheus") / "one", switch.routes.metrics_port,
        GRAFANA / "alerts.yml",
    )
    try:
        yield from _under_load(server, switch, tmp_path_factory.mktemp("sipp"))
    finally:
        server.stop()


def _under_load(server: Prometheus, switch: Switch, folder: Path) -> Iterator[Prometheus]:
    from harness.sipp import Sipp
    from harness.wire import Peer

    wait_until(lambda: server.query("trunkline_worker_up"), "the first scrape", 10)
    peer = Peer()
    runs = []
    try:
        handset = Handset(peer, switch.port)
        assert handset.register(f"Contact: {handset.contact}").status == 200
        wrong = handset.ask(f"Contact: {handset.contact}")
        bad = handset.credentials(wrong, password="wrong")
        assert handset.ask(f"Contact: {handset.contact}", bad).status == 401
        assert switch.command("reload", "--state", str(switch.state)).returncode == 0
        pair, other = switch.routes.pair(), switch.routes.pair()
        more = {"messages": False, "limit_s": SECONDS + 20}
        runs = [
            Sipp("gateway_answers", folder, port=pair.first, calls=999, **more),
            Sipp("gateway_refuses", folder, port=other.first, calls=999, **more),
            Sipp("gateway_refuses", folder, port=other.second, calls=999, **more),
            Sipp("caller_hangs_up", folder, target=switch.port, number=pair.number, call_id="yes",
                 calls=SECONDS * RATE, rate=RATE, hold_ms=1500, **more),
            Sipp("caller_is_refused", folder, target=switch.port, number=other.number,
                 call_id="no", calls=SECONDS * RATE, rate=RATE,
                 changes={'response="404"': 'response="503"'}, **more),
            Sipp("caller_is_refused", folder, target=switch.port, number=pair.number,
                 call_id="stranger", calls=SECONDS, rate=1, ip=STRANGER,
                 changes={'response="404"': 'response="403"'}, **more),
        ]
        time.sleep(SECONDS - 3)  # the load is still on while the questions are asked
        yield server
    finally:
        for run in runs:
            run.finish(10)
        for run in runs:
            run.stop()
        peer.close()


def panels() -> list[tuple[str, str]]:
    """Every query of every panel: where it stands, and as Prometheus is to be asked."""
    found = []
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"]
                for name, value in VALUES.items():
                    expr = expr.replace(name, value)
                # Nothing was there an hour ago; what the panel compares with is there now.
                expr = re.sub(r" offset \d+[hw]", "", expr)
                found.append((f"{path.stem}: {panel['title']} {target['refId']}", expr))
    return found


def test_every_event_is_one_that_prometheus_can_answer(prometheus: Prometheus) -> None:
    for path in (GRAFANA / "dashboards").glob("*.json"):
        for event in json.loads(path.read_text())["annotations"]["list"]:
            expr = event["expr"].replace("$gateway", ".*")
            found = prometheus.query(expr)
            if event["name"] == "Gateway down":
                marked = {one["metric"]["gateway"] for one in found if float(one["value"][1]) > 0}
                assert marked == {"dead"}
            elif event["name"] == "Reload":
                assert found, "the reload of a minute ago"


def test_every_panel_has_data_and_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    began = time.time()
    empty = [where for where, expr in panels() if not prometheus.query(expr)]
    assert not empty, f"{len(empty)} queries return nothing: {empty}"
    assert time.time() - began < 20
    rules = prometheus.rules()
    assert len(rules) > 20
    unwell = [(one["name"], one.get("lastError")) for one in rules if one["health"] != "ok"]
    assert not unwell
    for rule in rules:
        if rule["type"] == "recording" and rule["name"] not in UNREGISTERED:
            assert prometheus.query(rule["name"]), f"{rule['name']} has no value"
    firing = {one["name"] for one in rules if one["type"] == "alerting" and one["alerts"]}
    assert "GatewayDown" in firing, "the dead gateway, though it has not waited two minutes yet"
    assert firing <= {"GatewayDown", "BalanceLow", "ShortCallSurge", "NerLow", "ManyUnavailable"}


def test_the_figures_are_those_of_the_load(prometheus: Prometheus) -> None:
    def value(expr: str) -> float:
        return float(prometheus.query(expr)[0]["value"][1])

    assert value("sum(trunkline_account_active_calls)") > 0
    rate = value("sum(rate(trunkline_call_attempts_total[8s]))")
    assert RATE < rate < 6 * RATE, "one attempt of the answered, two of the refused"
    assert value("max(trunkline_process_resident_bytes)") > 10 << 20
    assert value("sum(increase(trunkline_account_charges_total[30s]))") > 0
    assert value("trunkline_registered_phones") == 1
