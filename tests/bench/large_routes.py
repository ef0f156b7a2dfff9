"""A configuration as large as they get: gateways, accounts and routes of a carrier, repeated."""

from __future__ import annotations

HEAD = """\
listen = udp:127.0.0.1:5060, tcp:127.0.0.1:5060
workers = auto
state = "state"
ringing_timeout = 60s
"""
GATEWAY = """
# The gateway of region {n}.
gateway gw_{n} {{
    address        = 192.0.{high}.{low}:5060
    prefixes       = {n}1, {n}2, 86{n}
    priority       = {priority}
    lines          = {lines}
    switch_on      = 408, 500-599
    invite_timeout = 5s
}}
"""
ACCOUNT = """
account customer_{n} {{
    lines = {lines}
    trunk office {{ ips = 10.{high}.{low}.0/24  lines = 20 }}
    trunk branch {{ ips = 172.16.{low}.{high}  caller_prefix = 49{n} }}
}}
"""
ROUTE = """
# Numbers of kind {n}.
route[KIND_{n}] {{
    let number = $rU;
    if (number =~ /^00{n}/) {{
        number = strip(number, 2);
        set_header("X-Kind", "international " + str(len(number)));
    }} else if (starts_with(number, "86{n}") && len(number) > 5) {{
        log(info, "national " + number + " from " + $fU);   # seen often
        $rU = "86" + substr(number, 2);
    }}
    switch ($fU) {{
        case "100{n}", "200{n}": $call.tier = "gold";
        case /^49/:              $call.tier = "silver";
        default:                 $call.tier = "none";
    }}
    for code in [486, 600, 603] {{
        if (code == {n} || (code > 500 && $si in 10.0.0.0/8)) return false;
    }}
    if (!($max_forwards > 3) || $ua =~ /scanner{n}/i) end(IllegalCall);
    return true;
}}
"""
CALL = """
route[CALL] {
    if (!identify()) end(IllegalCall);
%s
    call(gateways($rU), on_branch = TO_GATEWAY, on_failure = NEXT);
}

request_route {
    switch ($rm) {
        case "OPTIONS": reply(200);
        case "INVITE":  route(CALL);
        default:        reply(405);
    }
}

branch_route[TO_GATEWAY] {
    set_header("X-Account", $account.id);
}

failure_route[NEXT] {
    if ($rs in [486, 600, 603]) end(UserBusy);
    next();
}
"""


def large_routes(lines: int) -> str:
    """A configuration without a finding, of at least so many lines."""
    parts = [HEAD]
    written = (HEAD + CALL).count("\n")
    number = 0
    asked: list[str] = []
    while written < lines:
        number += 1
        high, low = divmod(number, 250)
        more = [ROUTE.format(n=number)]
        if number % 2:
            more += [
                template.format(
                    n=number, high=high, low=low + 1, priority=number % 3 + 1, lines=100 + number
                )
                for template in (GATEWAY, ACCOUNT)
            ]
        asked.append(f"    if (!route(KIND_{number})) end(CallNotPermitted);")
        parts += more
        written += sum(text.count("\n") for text in more) + 1
    parts.append(CALL % "\n".join(asked))
    return "".join(parts)
