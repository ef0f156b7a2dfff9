"""What a scrape tells after a reload: the new configuration, and the calls of what it removed."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from router.admin import scrape as scrape_module
from router.admin.metrics_process import _running_under
from router.admin.scrape import Scrape
from router.runtime.metrics_catalogue import PREFIX
from router.runtime.run_record import RunRecord, make_run_record, write_run_record
from router.store.live import LmdbLive

NOW_MS = 1_000_000_000_000


def record(gateways: list[tuple[str, int]], *, pid: int = 0, **more: object) -> RunRecord:
    made = make_run_record(
        pid=pid, started_ms=0, config_hash="fedcba987654", slots=2, gateways=gateways
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def reloaded(directory: Path, live: LmdbLive) -> Scrape:
    """The scrape of a router that was started with three gateways, of which cn_mobile has calls."""
    found = record([("backup", 7), ("fresh", -1)], reloads={"applied": 3, "refused": 1})
    return Scrape(
        directory=directory,
        gateways=(("cn_mobile", 30), ("backup", -1), ("down_town", 5)),
        config_hash="0123456789ab",
        slots=2,
        open_live=lambda: live,
        now_ms=lambda: NOW_MS,
        log=lambda level, event, /, **fields: None,
        running=lambda: found,
    )


def samples(scrape: Scrape, name: str) -> dict[str, float]:
    """The samples of one metric by their labels' values."""
    text = generate_latest(scrape).decode()
    return {
        ",".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == PREFIX + name
    }


def test_the_configuration_is_the_one_that_runs(reloaded: Scrape) -> None:
    assert samples(reloaded, "config_info") == {"fedcba987654": 1}
    assert samples(reloaded, "gateway_lines") == {"backup": 7, "fresh": math.inf}
    assert samples(reloaded, "gateway_up") == {"backup": 1, "fresh": 1}
    assert samples(reloaded, "call_attempts_total")["fresh"] == 0


def test_a_gateway_that_was_removed_is_shown_while_calls_are_on_it(reloaded: Scrape) -> None:
    assert samples(reloaded, "active_calls") == {"backup": 0, "fresh": 0, "cn_mobile": 2}


def test_removed_gateways_are_no_way_past_the_limit_of_labels(
    reloaded: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape_module, "MAX_GATEWAYS", 2)
    assert samples(reloaded, "active_calls") == {"backup": 0, "fresh": 0, "other": 2}


def test_reloads_are_counted_by_how_they_ended(reloaded: Scrape) -> None:
    assert samples(reloaded, "reloads_total") == {"applied": 3, "refused": 1, "failed": 0}


def test_before_the_first_reload_every_count_is_there(scrape: Scrape) -> None:
    assert samples(scrape, "reloads_total") == {"applied": 0, "refused": 0, "failed": 0}


def test_the_record_of_an_earlier_supervisor_tells_nothing(tmp_path: Path) -> None:
    read = _running_under(os.getppid(), tmp_path)
    assert read() is None
    write_run_record(tmp_path, record([("old", 1)], pid=1 << 30))
    assert read() is None
    write_run_record(tmp_path, record([("ours", 1)], pid=os.getppid()))
    found = read()
    assert found is not None
    assert found.gateways == [("ours", 1)]


def test_a_record_of_before_reloads_were_counted_can_be_read(tmp_path: Path) -> None:
    write_run_record(tmp_path, record([("ours", 1)], pid=7))
    file = tmp_path / "running.json"
    lines = [line for line in file.read_text().splitlines() if "reload" not in line]
    text = "\n".join(lines).replace(",\n}", "\n}")
    file.write_text(text)
    read = _running_under(7, tmp_path)()
    assert read is not None
    assert (read.reloads, read.reloaded_ms) == ({}, 0)
