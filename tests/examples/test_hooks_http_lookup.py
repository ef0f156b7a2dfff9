"""The HTTP look-up with a real server: answers, refusals, silence, and what is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Make = Callable[[str], Any]


class Server:
    """Knows carriers by number; counts what it is asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                number = self.path.rpartition("/")[2]
                outer.asked.append(number)
                outer.hold.wait(10)
                status, body = outer.answers.get(number, (404, "{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/numbers"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    monkeypatch.setenv("LOOKUP_URL", made.url)
    yield made
    made.close()


@pytest.fixture
def router(server: Server, example: Make) -> Any:
    return example("hooks_http_lookup")


def test_a_call_goes_to_the_gateway_of_the_numbers_carrier(router: Any, server: Server) -> None:
    server.answers = {"861": (200, '{"carrier": "mobile"}'), "862": (200, '{"carrier": "unicom"}')}
    gateways = [router.call("1000", number)[1].gateway for number in ("861", "862", "863")]
    assert gateways == ["mobile", "unicom", "transit"]
    assert server.asked == ["861", "862", "863"]


def test_the_carrier_stands_in_the_cdr(router: Any, server: Server) -> None:
    server.answers = {"861": (200, '{"carrier": "mobile"}')}
    _, cdr = router.call("1000", "861")
    assert cdr.variables == {"carrier": "mobile"}


def test_a_number_is_asked_for_once(router: Any, server: Server) -> None:
    server.answers = {"861": (200, '{"carrier": "mobile"}')}
    for number in ("861", "861", "864", "864"):
        router.call("1000", number)
    assert server.asked == ["861", "864"]


@pytest.mark.parametrize(
    "answer", [(500, "{}"), (200, "no json"), (200, "[]"), (200, '{"other": 1}')]
)
def test_what_the_server_gets_wrong_stops_no_call_and_is_asked_again(
    router: Any, server: Server, answer: tuple[int, str]
) -> None:
    server.answers = {"861": answer}
    for _ in range(2):
        call, cdr = router.call("1000", "861")
        assert (call.status, cdr.gateway) == (200, "transit")
    assert server.asked == ["861", "861"]
    assert router.lines[0].startswith("warning: no carrier for 861: ")


def test_a_silent_server_stops_no_call(router: Any, server: Server) -> None:
    server.hold.clear()
    call, cdr = router.call("1000", "861")
    assert (call.status, cdr.gateway) == (200, "transit")
    assert router.lines == ["warning: no carrier for 861: ReadTimeout"]


def test_a_server_that_is_away_stops_no_call(
    example: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKUP_URL", "http://127.0.0.1:9/numbers")
    router = example("hooks_http_lookup")
    assert router.call("1000", "861")[1].gateway == "transit"
    assert router.lines == ["warning: no carrier for 861: ConnectError"]
