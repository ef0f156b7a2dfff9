"""Schemathesis against the HTTP API, in this process: what fits the schema, and what does not.

Every operation is asked with the examples of the schema, with values at the edges of what it
allows and beyond them, and with a few made at random, of which the seed is fixed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from router.admin.api import make_api
from router.admin.api_tokens import make_token
from router.store.state import prepare_state

ROUTES = """\
deck retail { }
gateway out { address = 192.0.2.1  prefixes = 86 }
account acme { deck = retail  balance = 5  trunk office { ips = 127.0.0.1 } }
request_route { if (!identify()) end(IllegalCall); call(gateways($rU)); }
"""
LONGEST_S = 120
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CONFIG: dict[str, Any] = {
    "seed": 4711,
    "generation": {"max-examples": 6, "no-shrink": True, "database": "none", "deterministic": True},
    "phases": {"stateful": {"max-steps": 4}},
    "checks": {
        # Of what a schema cannot say (there is no such account, no router runs) the API speaks
        # with these.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "422", "503"]
        },
        # 503 is an answer: no router runs here.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
    },
}


@pytest.mark.parametrize(
    ("role", "phases"),
    [
        ("all", PHASES),
        ("read", ("fuzzing",)),
        ("operate", ("fuzzing",)),
        ("money", ("fuzzing",)),
    ],
)
def test_every_answer_is_as_the_schema_says(
    tmp_path: Path, role: str, phases: tuple[str, ...]
) -> None:
    (tmp_path / "routes.cfg").write_text(ROUTES)
    state = tmp_path / "state"
    prepare_state(state)
    roles = ["operate", "money"] if role == "all" else [role]
    token = make_token(state, role, roles, "test")
    faults: list[Any] = []
    app = make_api(
        tmp_path / "routes.cfg", state, lambda *a, **k: faults.append((a, k)), most_wrong=1 << 30
    )
    wanted = {
        name: {"enabled": name in phases, **CONFIG["phases"].get(name, {})} for name in PHASES
    }
    generation = {**CONFIG["generation"], **({"max-examples": 1} if role != "all" else {})}
    config = SchemathesisConfig.from_dict(
        {**CONFIG, "generation": generation, "phases": wanted,
         "headers": {"Authorization": f"Bearer {token}"}}
    )
    loaded = schemathesis.openapi.from_asgi("/schema/openapi.json", app, config=config)
    found, operations, requests = _run(loaded)
    assert found == []
    assert faults == []
    # Beside them, what follows links has a name of its own.
    assert operations >= {one.ok().label for one in loaded.get_all_operations()}
    assert requests > (20 if role == "all" else 0) * len(operations)


def _run(loaded: Any) -> tuple[list[str], set[str], int]:
    """What is wrong, in words; the operations that were asked; how many requests there were."""
    found: set[str] = set()
    operations: set[str] = set()
    requests = 0
    end = time.monotonic() + LONGEST_S
    for event in from_schema(loaded).execute():
        if isinstance(event, FatalError):
            raise event.exception
        if isinstance(event, NonFatalError):
            found.add(f"{event.label}: {event.value!r}")
        if isinstance(event, ScenarioFinished):
            requests += len(event.recorder.interactions)
            if event.status != Status.SKIP:
                operations.add(event.recorder.label)
            for id, checks in event.recorder.checks.items():
                for check in checks:
                    if check.status == Status.FAILURE and check.failure_info is not None:
                        code = check.failure_info.code_sample
                        words = str(check.failure_info.failure)
                        answer = event.recorder.interactions[id].response
                        body = (answer.content or b"")[:300] if answer is not None else b""
                        found.add(f"{check.name}: {words}\n{code}\n{body!r}")
        assert time.monotonic() < end, "it takes too long"
    return sorted(found), operations, requests
