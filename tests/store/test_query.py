from __future__ import annotations

import pytest
from store_samples import NOW_MS, sample_cdr

from router.store.query import CdrQuery
from router.store.records import Attempt

CDR = sample_cdr(
    50, end_reason="GatewayRejected(503)", attempts=[Attempt("first"), Attempt("cn_mobile")]
)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (CdrQuery(), True),
        (CdrQuery(since_ms=NOW_MS + 50), True),
        (CdrQuery(since_ms=NOW_MS + 51), False),
        (CdrQuery(until_ms=NOW_MS + 51), True),
        (CdrQuery(until_ms=NOW_MS + 50), False),
        (CdrQuery(account="acme"), True),
        (CdrQuery(account="acm"), False),
        (CdrQuery(callee_prefix="8613"), True),
        (CdrQuery(callee_prefix="613"), False),
        (CdrQuery(gateway="cn_mobile"), True),
        (CdrQuery(gateway="first"), True),
        (CdrQuery(gateway="second"), False),
        (CdrQuery(end_reason="GatewayRejected"), True),
        (CdrQuery(end_reason="GatewayRejected(503)"), True),
        (CdrQuery(end_reason="GatewayRejected(500)"), False),
        (CdrQuery(end_reason="Normal"), False),
        (CdrQuery(account="acme", gateway="second"), False),
        (CdrQuery(limit=1), True),
        (CdrQuery(caller_prefix="10"), True),
        (CdrQuery(caller_prefix="00"), False),
        (CdrQuery(trunk="office"), True),
        (CdrQuery(trunk="offic"), False),
        (CdrQuery(phone="1001"), False),
        (CdrQuery(number="1000"), True),
        (CdrQuery(number="000"), False),
        (CdrQuery(number="8613800138000"), True),
        (CdrQuery(number="+13800138000"), True),
        (CdrQuery(number="008613800138000"), True),
        (CdrQuery(number="3800138001"), False),
    ],
)
def test_a_query_keeps_what_passes_every_filter(query: CdrQuery, matches: bool) -> None:
    assert query.matches(CDR) is matches
