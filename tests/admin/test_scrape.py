from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from router.admin import scrape as scrape_module
from router.admin.merging import MergedFiles
from router.admin.scrape import Scrape
from router.core.tally import ScriptMetric, Tally
from router.runtime.metrics import MetricsFlusher, prepare_metrics
from router.runtime.metrics_catalogue import CATALOGUE, PREFIX
from router.store.errors import StoreError


def values(text: str) -> dict[str, float]:
    """Every sample of an exposition, as it is written there."""
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(scrape: Scrape, name: str, **labels: str) -> float:
    text = generate_latest(scrape).decode()
    return values(text)[PREFIX + name + str(sorted(labels.items()))]


def test_workers_are_added_up(scrape: Scrape) -> None:
    assert value(scrape, "call_attempts_total", gateway="cn_mobile") == 6
    assert value(scrape, "calls_total", gateway="none", reason="NotFound") == 2
    assert value(scrape, "call_duration_seconds_bucket", le="30.0") == 2
    assert value(scrape, "call_duration_seconds_sum") == 25.0


def test_gauges_say_what_the_live_store_holds_now(scrape: Scrape) -> None:
    assert value(scrape, "active_calls", gateway="cn_mobile") == 2
    assert value(scrape, "cdr_backlog") == 1
    assert value(scrape, "config_info", hash="0123456789ab") == 1


def test_accounts_show_what_they_have_and_what_is_reserved(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value(scrape, "account_balance", account="a1") == 1.5
    assert value(scrape, "account_reserved", account="a1") == 0.5
    assert value(scrape, "account_reserved", account="a2") == 0
    monkeypatch.setattr(scrape_module, "MAX_ACCOUNTS", 2)
    text = generate_latest(scrape).decode()
    assert 'trunkline_account_balance{account="a1"}' in text
    assert 'trunkline_account_balance{account="a2"}' not in text


def test_money_is_shown_in_units_of_the_currency(scrape: Scrape) -> None:
    assert value(scrape, "account_charges_total", account="a1") == 2.5
    assert value(scrape, "gateway_costs_total", gateway="cn_mobile") == 1
    assert value(scrape, "account_calls_total", account="none", reason="IllegalCall") == 2


def test_accounts_show_their_calls_and_how_many_they_may_have(scrape: Scrape) -> None:
    assert value(scrape, "account_active_calls", account="a1") == 0
    assert value(scrape, "account_lines", account="a1") == 2
    assert value(scrape, "account_lines", account="a2") == math.inf


def test_what_the_machine_says_is_shown(scrape: Scrape) -> None:
    assert value(scrape, "process_cpu_seconds_total", process="worker-0") == 5
    assert value(scrape, "udp_drops_total") == 7
    assert value(scrape, "store_used_bytes", store="live") == 9


def test_every_configured_gateway_is_there_also_with_nothing_to_show(scrape: Scrape) -> None:
    assert value(scrape, "active_calls", gateway="backup") == 0
    assert value(scrape, "call_attempts_total", gateway="backup") == 0
    assert value(scrape, "call_answers_total", gateway="backup") == 0
    assert value(scrape, "call_answered_seconds_total", gateway="cn_mobile") == 25
    assert value(scrape, "gateway_lines", gateway="cn_mobile") == 30
    assert value(scrape, "gateway_lines", gateway="backup") == math.inf


def test_a_gateway_set_aside_is_down_until_its_time_is_over(scrape: Scrape) -> None:
    assert value(scrape, "gateway_up", gateway="down_town") == 0
    assert value(scrape, "gateway_up", gateway="cn_mobile") == 1
    later = scrape._now_ms() + 60_000
    scrape._now_ms = lambda: later
    assert value(scrape, "gateway_up", gateway="down_town") == 1


def test_a_worker_is_up_while_its_heartbeat_is_young(scrape: Scrape) -> None:
    assert value(scrape, "worker_up", slot="0") == 1
    assert value(scrape, "worker_up", slot="1") == 0


def test_gateways_beyond_the_cap_share_one_label(
    scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape_module, "MAX_GATEWAYS", 1)
    assert value(scrape, "gateway_lines", gateway="cn_mobile") == 30
    assert value(scrape, "gateway_lines", gateway="other") == math.inf
    assert value(scrape, "gateway_up", gateway="other") == 0
    assert value(scrape, "active_calls", gateway="other") == 0


def test_of_1200_gateways_the_first_1000_have_a_label_whatever_workers_called_first(
    scrape: Scrape, directory: Path
) -> None:
    names = [f"gw_{number}" for number in range(1_200)]
    scrape._running = lambda: None
    scrape._gateways = [(name, 10) for name in names]
    prepare_metrics(directory)
    for slot, called in enumerate((names[150:], names[::-1])):
        flusher, tally = MetricsFlusher(directory, slot), Tally()
        for name in called:
            tally.attempts[name] += 1
            tally.failed_delay[name].observe(0.2)
        flusher.flush(tally, 0)
    for name in ("call_attempts_total", "call_failure_delay_seconds_count", "gateway_lines"):
        found = {
            sample.labels["gateway"]: sample.value
            for family in scrape.collect() for sample in family.samples
            if sample.name == PREFIX + name
        }
        assert set(found) <= {*names[:1_000], "other"}
        assert found["other"] >= 400
        if name != "gateway_lines":
            assert sum(found.values()) == 1_050 + 1_200
    list(parse_openmetrics(generate_openmetrics(scrape).decode()))


def test_a_live_store_that_cannot_be_read_costs_only_the_gauges(
    scrape: Scrape, live: Any, log: Any
) -> None:
    def broken() -> Any:
        raise StoreError("state is away")

    scrape._open_live = broken
    for _ in range(2):
        text = generate_latest(scrape).decode()
        assert PREFIX + "call_attempts_total" + str([("gateway", "cn_mobile")]) in values(text)
        assert not re.search(r"^trunkline_(active_calls|worker_up|gateway_up)", text, re.M)
    assert log.events == [("warning", "live state cannot be read", {"reason": "state is away"})]

    scrape._open_live = lambda: live
    assert value(scrape, "cdr_backlog") == 1
    assert log.events[-1][:2] == ("info", "live state can be read again")


def test_before_any_worker_has_counted_every_family_is_announced(
    scrape: Scrape, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    scrape._files = MergedFiles(empty)
    text = generate_latest(scrape).decode()
    assert text.count("# TYPE ") == len(CATALOGUE)
    assert value(scrape, "call_attempts_total", gateway="cn_mobile") == 0


def test_families_come_in_the_order_of_the_catalogue_with_their_help(scrape: Scrape) -> None:
    families = list(text_string_to_metric_families(generate_latest(scrape).decode()))
    assert [family.name for family in families] == [PREFIX + metric.name for metric in CATALOGUE]
    assert [family.documentation for family in families] == [metric.help for metric in CATALOGUE]
    assert [family.type for family in families] == [metric.kind for metric in CATALOGUE]


def test_each_family_has_the_labels_the_catalogue_says(scrape: Scrape) -> None:
    families = text_string_to_metric_families(generate_latest(scrape).decode())
    for family, metric in zip(families, CATALOGUE, strict=True):
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_openmetrics_can_be_read_too(scrape: Scrape) -> None:
    text = generate_openmetrics(scrape).decode()
    families = {family.name for family in parse_openmetrics(text)}
    assert PREFIX + "calls" in families
    assert len(families) == len(CATALOGUE)


def promtool() -> str | None:
    unpacked = Path(__file__).parents[2] / "build/prometheus/usr/bin/promtool"
    return shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None)


@pytest.mark.skipif(promtool() is None, reason="promtool (Debian package prometheus) is missing")
def test_promtool_finds_nothing_to_complain_about(scrape: Scrape) -> None:
    tool = promtool()
    assert tool
    done = subprocess.run(
        [tool, "check", "metrics"], input=generate_latest(scrape), capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_routes_count_comes_last_under_its_own_name(
    scrape: Scrape, directory: Path
) -> None:
    flusher, tally = MetricsFlusher(directory, 0), Tally()
    for metric in ("zebra", "calls"):
        tally.count(ScriptMetric(metric, ("account",)), ('a"\\\nb',))
    flusher.flush(tally, 1_000)
    flusher.close()
    assert value(scrape, "script_calls_total", account='a"\\\nb') == 1
    names = [family.name for family in scrape.collect()]
    assert names[-2:] == [PREFIX + "script_calls", PREFIX + "script_zebra"]
    text = generate_latest(scrape).decode()
    assert "# HELP trunkline_script_calls_total Counted by a route of routes.cfg" in text
    assert "# TYPE trunkline_script_calls_total counter" in text
    list(parse_openmetrics(generate_openmetrics(scrape).decode()))


def test_a_damaged_file_is_left_out_and_said_once(
    scrape: Scrape, directory: Path, log: Any
) -> None:
    file = directory / "counter_0.db"
    file.write_bytes(file.read_bytes()[:300])
    for _ in range(2):
        assert value(scrape, "call_attempts_total", gateway="cn_mobile") == 3, "the other worker's"
        assert value(scrape, "call_duration_seconds_count") == 2
    said = [line for line in log.events if "damaged" in str(line)]
    assert len(said) == 1 and "counter_0.db" in str(said[0])
