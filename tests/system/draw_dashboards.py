"""Pictures of the dashboards for docs/, from a Prometheus that watched a router for minutes.

`make pictures` runs it. Nothing is made up: the panels' own queries are asked. Only time is short,
three hours of a dashboard are six minutes here (`grafana/pictures/questions.py`).
"""

from __future__ import annotations

import shutil
import time

from harness.handset import Handset
from harness.ports import wait_until
from harness.prometheus import ROOT, Prometheus
from harness.showcase import GOES_DOWN, PHONES, Showcase
from harness.wire import Peer

from grafana.pictures import questions
from router.runtime.agent_driver import AgentDriver

RATE = 7.0
WARM_UP_S = 30
SECONDS = WARM_UP_S + questions.SPAN_S
WORK = ROOT / "build/pictures"


def test_draw_the_dashboards(run_switch) -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    with AgentDriver() as driver:
        show = Showcase(driver)
        switch = run_switch(show, workers=2, start=False)
        show.write_prices(switch.folder)
        switch.start()
        server = Prometheus(WORK / "prometheus", show.metrics_port, ROOT / "grafana/alerts.yml")
        try:
            wait_until(lambda: server.query("trunkline_worker_up"), "the first scrape", 10)
            peers = _phones(show.port)
            _play(driver, show, switch)
            end_s = time.time()
            (WORK / "end").write_text(str(end_s))
            questions.ask_all(server.query, server.over_time, end_s, WORK / "answers.json")
        finally:
            server.stop()
            for peer in peers:
                peer.close()


def _phones(port: int) -> list[Peer]:
    peers = []
    for number in PHONES:
        peer = Peer(host="127.0.1.3")
        handset = Handset(peer, port, number)
        assert handset.register(f"Contact: {handset.contact}").status == 200
        peers.append(peer)
    return peers


def _play(driver: AgentDriver, show: Showcase, switch) -> None:
    """Minutes of calls, with what happens to a carrier meanwhile."""
    wrong = Peer(host="127.0.1.8")
    guesser = Handset(wrong, show.port, PHONES[0])

    def reload(broken: bool) -> None:
        text = show.text(str(switch.state))
        switch.file.write_text(text + "nonsense\n" if broken else text + "# mended\n")
        switch.command("reload", "--state", str(switch.state))

    def guess() -> None:
        challenge = guesser.ask(f"Contact: {guesser.contact}")
        bad = guesser.credentials(challenge, password="wrong")
        guesser.ask(f"Contact: {guesser.contact}", bad)

    events = [
        (WARM_UP_S + 80, lambda: show.break_down(GOES_DOWN)),
        (WARM_UP_S + 120, lambda: show.mend(GOES_DOWN)),
        (WARM_UP_S + 170, lambda: reload(broken=False)),
        (WARM_UP_S + 300, lambda: reload(broken=True)),
        *((WARM_UP_S + 200 + 7 * number, guess) for number in range(4)),
    ]
    events.sort(key=lambda event: event[0])
    began = time.monotonic()

    def enough(now_ms: int) -> bool:
        show.step(now_ms, RATE)
        passed = time.monotonic() - began
        if events and passed >= events[0][0]:
            events.pop(0)[1]()
        return passed >= SECONDS

    driver.run(enough, 2 * SECONDS * 1000)
    wrong.close()
