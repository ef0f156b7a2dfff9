"""Test blocks tried against a small routes.cfg: two gateways, one account, one strict route."""

from __future__ import annotations

from routed import program_of

from router.routing.trial.results import Failure, TrialResult
from router.routing.trial.run import run_trials

ROUTES = """
listen = udp:127.0.0.1:5060, tcp:127.0.0.1:5060
gateway first  { address = 192.0.2.91:5060  prefixes = 86  priority = 1 }
gateway second { address = 192.0.2.91:5060  prefixes = 86  priority = 2 }
gateway third  { address = 192.0.2.93:5070;transport=tcp  prefixes = 86  priority = 3 }
account acme { trunk office { ips = 127.0.0.1, [2001:db8::]/32  lines = 2 } }
request_route {
    if ($rm != "INVITE") reply(405);
    if ($ua =~ /scanner/i) drop;
    if ($max_forwards == 0) reply(483, "Too Many Hops");
    if ($rU == "86500") let broken = str(1 / int($fU, 0));
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_branch = TO_GATEWAY);
}
branch_route[TO_GATEWAY] {
    $rU = "00" + $rU;
    set_header("X-Account", $account.id);
    set_header("X-Port", str($sp));
}
"""


def tried(steps: str, routes: str = ROUTES) -> TrialResult:
    """What comes of a test block with these steps."""
    (result,) = run_trials(program_of(f'{routes}test "t" {{\n{steps}\n}}\n'))
    return result


def passes(steps: str, routes: str = ROUTES) -> None:
    """Asserts that the block passes."""
    result = tried(steps, routes)
    assert result.failure is None, result.failure.sentence


def failure(steps: str, routes: str = ROUTES) -> Failure:
    """What failed in the block."""
    result = tried(steps, routes)
    assert result.failure is not None, "it passed"
    return result.failure


def sentence(steps: str, routes: str = ROUTES) -> str:
    """What is said of the step that failed."""
    return failure(steps, routes).sentence
