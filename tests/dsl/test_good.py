"""Programs without a mistake: no finding, and code that runs. The format is good_programs' own.

One that begins with `# whole` is checked against the table with everything ready.
"""

from __future__ import annotations

import re
from datetime import date
from ipaddress import ip_network

import pytest
from good_programs import VARIABLES, GoodProgram, good_programs
from routes_text import SURFACE, WHOLE, check_text

from dsl.findings import HINT
from dsl.generate import generate
from dsl.program import Address

PROGRAMS = good_programs()


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.place for program in PROGRAMS])
def test_a_good_program_gives_no_finding_and_runs(program: GoodProgram) -> None:
    surface = WHOLE if program.whole else SURFACE
    outcome = check_text(
        program.text, surface=surface, more=program.more, variables=VARIABLES, loading=True
    )
    # A name of VOS3000's is good, and hinted at.
    findings = [found for found in outcome.findings if found.severity != HINT]
    assert [f"{f.line}: {f.code} {f.message}" for f in findings] == []
    handlers = generate(outcome, surface).run(surface)
    assert set(handlers) == set(outcome.declarations.routes)


def test_settings_become_python_values() -> None:
    text = next(one.text for one in PROGRAMS if "gateway v6" in one.text)
    outcome = check_text(text)
    assert outcome.settings.values == {
        "listen": [
            Address("udp", "127.0.0.1", 5060),
            Address("tcp", "127.0.0.1", 5060),
            Address("udp", "::1", 5060),
        ],
        "workers": "auto",
        "state": "state",
        "metrics": Address("tcp", "127.0.0.1", 9464),
        "t1": 500,
        "number_length": (3, 20),
    }
    mobile, v6, acme = (block.block() for block in outcome.blocks)
    assert (mobile.kind, mobile.name) == ("gateway", "cn_mobile")
    assert mobile.settings == {
        "address": [Address("tcp", "127.0.0.1", 5091)],
        "prefixes": ["8613", "0086", "00"],
        "priority": 1,
        "switch_on": [(408, 408), (500, 599)],
        "switch_after_ring": True,
    }
    assert v6.settings["address"] == [Address("udp", "2001:db8::1", 5060)]
    assert acme.settings == {"status": "active", "expires": date(2030, 12, 31), "lines": 30}
    office = acme.children[0]
    assert office.settings == {
        "ips": [ip_network(text) for text in ("127.0.0.1", "192.0.2.0/24", "2001:db8::/32")],
        "caller_prefix": "10",
        "priority": 2,
    }
    assert str(office.position) == "routes.cfg:21:5"
    assert str(office.places["ips"]) == "routes.cfg:21:20"


def test_an_environment_variable_stands_for_a_text_or_any_other_value() -> None:
    text = 'state = env("STATE")\nworkers = env("WORKERS")\nrequest_route { reply(200); }'
    outcome = check_text(text, variables={"STATE": "/var/lib/t", "WORKERS": "4"})
    assert outcome.findings == []
    assert outcome.settings.values == {"state": "/var/lib/t", "workers": 4}


def test_a_variable_that_is_not_set_stops_a_load_and_not_a_check() -> None:
    text = 'state = env("STATE")\nrequest_route { reply(200); }'
    assert (check_text(text).errors, check_text(text).warnings) == (0, 1)
    assert check_text(text, loading=True).errors == 1


def test_the_hash_changes_with_the_text_of_any_file_and_with_nothing_else() -> None:
    main = 'include "more.cfg"\nrequest_route { reply(200); }'
    hashes = {
        check_text(main, more={"more.cfg": more}).unit.hash
        for more in ("", "t1 = 400ms", "t1 = 400ms", "# t1 = 400ms")
    }
    assert len(hashes) == 3
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in hashes)


def test_the_summary_counts_what_there_is() -> None:
    text = next(one.text for one in PROGRAMS if "gateway v6" in one.text)
    summary = "routes.cfg: 2 gateways, 1 account, 1 route: no findings"
    assert check_text(text).summary() == summary
    text = "gateway a { adress = 1 }\nroute[A] { drop; }\nrequest_route { reply(200); }"
    assert check_text(text).summary() == ("routes.cfg: 1 gateway, 2 routes: 1 error, 1 warning")
