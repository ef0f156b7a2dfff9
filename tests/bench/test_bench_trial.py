"""What trials cost: test blocks of a call with a failover, and of a refusal, one after another.

A reload runs all test blocks of a file before it swaps programs, so hundreds have to take about a
second, also with 500 gateways in the file. The figures are per 100 trials.
"""

from __future__ import annotations

from typing import Any

import pytest

from dsl.load import load_program
from dsl.program import Program
from router.routing.surface import SURFACE
from router.routing.trial.run import run_trials

FAILOVER = """
    invite from 127.0.0.1 caller "1000" callee "8613800138000";
    expect gateway first callee "8613800138000" header "X-Account: acme";
    gateway first replies 503;
    expect gateway second;
    gateway second answers after 2s;
    caller hangs up after 65s;
    expect end Normal duration 65s;
"""
REFUSAL = "invite from 203.0.113.1; expect reply 403; expect end IllegalCall;"


class Text:
    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, path: str) -> bytes:
        return self.text.encode()

    def matches(self, pattern: str) -> list[str]:
        return []

    def variable(self, name: str) -> str | None:
        return None


def program_with(steps: str, gateways: int) -> Program:
    others = "\n".join(
        f"gateway g{number} {{ address = 192.0.2.{number % 250}:{5100 + number}  prefixes = 44 }}"
        for number in range(gateways)
    )
    tests = "\n".join(f'test "t{number}" {{ {steps} }}' for number in range(100))
    text = f"""
        gateway first  {{ address = 127.0.0.1:5091  prefixes = 86  priority = 1 }}
        gateway second {{ address = 127.0.0.1:5092  prefixes = 86  priority = 2 }}
        {others}
        account acme {{ trunk office {{ ips = 127.0.0.1 }} }}
        request_route {{
            if ($rm != "INVITE") reply(405);
            if (!identify()) end(IllegalCall);
            call(gateways($rU), on_branch = TO_GATEWAY);
        }}
        branch_route[TO_GATEWAY] {{ set_header("X-Account", $account.id); }}
        {tests}
    """
    return load_program("routes.cfg", SURFACE, Text(text))


@pytest.mark.parametrize("gateways", [0, 500])
@pytest.mark.parametrize("steps", [FAILOVER, REFUSAL], ids=["failover", "refusal"])
def test_a_hundred_trials(benchmark: Any, steps: str, gateways: int) -> None:
    program = program_with(steps, gateways)

    results = benchmark.pedantic(run_trials, (program,), rounds=5, warmup_rounds=1)

    assert len(results) == 100
    assert all(result.passed for result in results)
