"""The sentences of docs/language.md that no table holds."""

from __future__ import annotations

from dsl.builder_expressions import MAX_DEPTH
from dsl.check.statements import MAX_LOOPS
from dsl.regexes import LIMITS as LIMITS_OF_REGEXES
from dsl.sources import MAX_BYTES, MAX_FILES
from router.routing.context import MAX_STEPS

LATER = "†"
"""marks what this version cannot carry out yet"""

HEAD = """\
<!-- Made by `make docs` out of the function table and the grammar. Do not edit. -->
# The route language

All that a `routes.cfg` may contain. New to it? Read [How a file is built](#how-a-file-is-built)
and [Kinds of route](#kinds-of-route), then look up the rest as you need it. If you know Kamailio,
there is [Coming from Kamailio](coming-from-kamailio.md); if you know VOS3000, [Coming from
VOS3000](coming-from-vos3000.md). What the checker has to say is in [Findings](findings.md).

`trunkline check routes.cfg` finds every mistake before a call does, `trunkline fmt routes.cfg`
brings the file into its layout, and [docs/editor](editor/README.md) makes an editor know the
language.
"""

LATER_NOTE = f"""
What is marked {LATER} is part of the language, but this version cannot do it yet; `check` says so.
"""

BUILT = """\
## How a file is built

A file holds **settings** (`name = value`), **blocks** (the gateways, accounts and so on that
exist) and **routes** (what happens with a request), in any order. Comments begin with `#` or
`//`, or stand between `/*` and `*/`. Settings need no `;`; statements of a route end with one. A
setting with several values separates them with commas and may go on on the next line after one.

```routes
listen = udp:127.0.0.1:5060          # a setting

gateway carrier {                    # a block: calls can be sent here
    address  = 192.0.2.10:5060
    prefixes = 86, 852
}

account acme {                       # a block in a block: a customer and its peer
    trunk office { ips = 198.51.100.0/24 }
}

request_route {                      # a route: every request begins here
    if ($rm != "INVITE") reply(405);
    if (!identify()) end(IllegalCall);
    call(gateways($rU));
}
```

Other things that stand at the top of a file:
"""

VALUES = """\
## Values

Every value has a type, and nothing is converted silently: a condition has to be a bool, a number
is never equal to a string. `str(…)` and `int(…)` convert.
"""

OPERATORS = """\
## Operators

From the weakest to the strongest binding; the comparisons share one level, and so do `+ -` and
`* /`. Parentheses group.
"""

FACTS = """\
## Facts

What begins with `$` is a fact of the message or of the call. Each has Kamailio's name and a
longer one; they are the same. A header that is not there is "". `$hdr(Name)` is the value of any
header.

Assigning a fact changes what is sent on; in a branch_route for that attempt only.
"""

VARIABLES = """\
### Variables of the call

`$call.name` is a variable of your own that lives as long as the call, survives the death of a
worker, and is written to the CDR. Its first assignment declares it and gives it its type: string,
int, bool, decimal or duration.

```routes
request_route {
    $call.tier = "gold";
    call(gateways($rU), on_failure = NEXT);
}

failure_route[NEXT] {
    if ($call.tier == "gold") next();
    end();
}
```
"""

TESTS = """\
## Tests

A `test` block describes a call and what is expected of it. `trunkline test` runs all of them in
virtual time, without sockets; nobody waits. Each line ends with `;`. [Test blocks](test-blocks.md)
tells more.
"""

SETTINGS = """\
## Settings and blocks

Durations have a unit. A setting of a block holds for what is inside it unless that says
otherwise. A second `account NAME { … }` that has only trunks and phones adds them to the
first. The names of VOS3000's parameters are accepted too, with durations in bare seconds as
there; `check` then names ours.
"""

RULES = """\
### Rewrite rules

`callee_in`, `caller_out` and the like, and `rewrite(…)`, take rules in quotes: `"0086:86, 0:86*"`.
Of those whose left side begins the number the longest is applied, and no other. On the left `*` is
any digits and `?` is one digit; on the right they are what they stood for. Nothing on the right
takes the beginning away, and of several right sides with `|` between them one is chosen by the
Call-ID.
"""

LIMITS = f"""\
## Limits

Loops nest up to {MAX_LOOPS} deep, statements and expressions up to {MAX_DEPTH}. A configuration has
at most {MAX_FILES:,} files, each of at most {MAX_BYTES // 1024 // 1024} MiB.

A request that takes more than {MAX_STEPS:,} steps (turns of loops, calls of routes) ends
with 500.

A regex that could take for ever over a short text is refused. One whose time grows with the square
of the length (`/a.*b/`, not anchored) looks at its first {LIMITS_OF_REGEXES[1]:,} characters,
with the third power at {LIMITS_OF_REGEXES[2]}, with the fourth at {LIMITS_OF_REGEXES[3]};
`/^a[^b]*b/` reads any text once, and has no limit.
"""
