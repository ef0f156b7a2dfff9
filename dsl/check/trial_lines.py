"""The statements of a test block: which there are, and how their words become steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dsl import ast
from dsl.check.report import Report, did_you_mean
from dsl.check.settings import CheckedBlock
from dsl.check.trial_acts import read_act, read_callee, read_caller
from dsl.check.trial_words import Unreadable, Words, written
from dsl.program import Position
from dsl.surface import Surface, ValueType
from dsl.trials import (
    ExpectEnd,
    ExpectGateway,
    ExpectMetric,
    ExpectReply,
    Invite,
    Register,
    SetBalance,
    SetClock,
    SetHealth,
    Step,
    Wait,
    called_phone,
)
from dsl.types import enumeration_type

INVITE = (
    'write `invite from IP[:port] [caller "…"] [callee "…"] [header "Name: value"] [codecs "…"]`'
)
EXPECT = "what can be expected: gateway, reply, end, phone, metric"
EXPECT_GATEWAY = 'write `expect gateway NAME [callee "…"] [caller "…"] [header "Name: value"]`'
EXPECT_PHONE = 'write `expect phone NUMBER [callee "…"] [caller "…"] [header "Name: value"]`'
EXPECT_REPLY = "write `expect reply CODE`"
EXPECT_METRIC = 'write `expect metric "name" INT`'
EXPECT_END = "write `expect end REASON [charge 0.12] [cost 0.10] [duration 65s]`"
GATEWAY = (
    "a gateway `replies CODE`, `rings`, `answers` (all with `after T` if need be), "
    "`stays silent`, `sends early media`, or is `down` or `up`"
)
ACCOUNT = "write `account NAME balance 10.00`"
PHONE = (
    "a phone `replies CODE`, `rings`, `answers` (all with `after T` if need be), `stays silent` or "
    "`sends early media`"
)
REGISTER = "write `register from IP[:port] phone NUMBER`"
WAIT = "write `wait T`, such as `wait 5s`"
NOW = 'write `now "2026-11-22 03:00"`, in UTC or with an offset such as +08:00'

STATEMENTS = (
    "invite",
    "register",
    "expect",
    "gateway",
    "phone",
    "caller",
    "callee",
    "wait",
    "account",
    "now",
)

CALLER_BY_DEFAULT = "1000"
CALLEE_BY_DEFAULT = "1001"

_ADDRESS = ValueType("address")
_DECIMAL = ValueType("decimal")
_DURATION = ValueType("duration")
_COUNT = ValueType("int", minimum=0)
_END_REASON = enumeration_type("end reason")
_CODEC = enumeration_type("codec")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

# What a position and the statement's text make a step of.
_Make = Callable[[Position, str], Step]


class StatementReader:
    """Reads the statements of test blocks.

    `gateways`, `accounts` and `phones` are those that are declared, `metrics` those that routes
    count.
    """

    def __init__(
        self,
        surface: Surface,
        gateways: Mapping[str, object],
        accounts: Mapping[str, CheckedBlock],
        phones: Mapping[str, object],
        metrics: Mapping[str, object],
        report: Report,
    ) -> None:
        self._surface = surface
        self._gateways = gateways
        self._accounts = accounts
        self._phones = phones
        self._metrics = metrics
        self._report = report
        self._heads: dict[str, Callable[[Words], _Make]] = {
            "invite": self._invite,
            "expect": self._expect,
            "gateway": self._gateway,
            "phone": self._phone,
            "register": self._register,
            "caller": read_caller,
            "callee": read_callee,
            "account": self._account,
            "wait": self._wait,
            "now": self._now,
        }

    def read(self, line: list[ast.Value]) -> Iterator[tuple[Step, ast.Span] | None]:
        """The steps of what stands before a `;`: one, or more where a `;` is missing.

        None stands for a statement that was reported.
        """
        while line:
            words = Words(line, self._report)
            try:
                make = self._head(words)
                line = self._rest(words)
            except Unreadable:
                yield None
                return
            first, last = words.taken[0].span, words.taken[-1].span
            span = ast.Span(first.file, first.line, first.column, last.end_line, last.end_column)
            text = " ".join(map(written, words.taken))
            yield make(Position(span.file, span.line, span.column), text), span

    def _head(self, words: Words) -> _Make:
        head = words.take()
        if head.form != "word" or head.text not in STATEMENTS:
            close = did_you_mean(head.text, STATEMENTS)
            raise words.fail(
                "unknown-step",
                head.span,
                f"a test has no statement `{written(head)}`",
                close or f"the statements are: {', '.join(STATEMENTS)}",
            )
        return self._heads[head.text](words)

    def _rest(self, words: Words) -> list[ast.Value]:
        """Nothing may be left, unless on a line of its own, where only a `;` is missing."""
        left = words.left
        if not left:
            return left
        before = words.taken[-1].span
        if left[0].span.line == before.end_line or not _begins(left):
            raise words.wrong("`;`")
        span = ast.Span(
            before.file, before.end_line, before.end_column, before.end_line, before.end_column + 1
        )
        self._report.add("syntax", span, "expected `;` here")
        return left

    def _not_supported(self, words: Words, span: ast.Span, what: str) -> Unreadable:
        return words.fail(
            "not-supported",
            span,
            f"`{what}` in a test is part of the language, but not supported in this version",
        )

    def _options(
        self, words: Words, readers: Mapping[str, Callable[[], Any]], several: str = ""
    ) -> dict[str, Any]:
        """What follows as pairs of a word and a value; `several` may come more than once."""
        found: dict[str, Any] = {}
        while (word := words.peek()) is not None:
            if word.form != "word" or word.text not in readers or _starts_statement(words):
                break
            words.take()
            if word.text in found and word.text != several:
                raise words.fail("bad-step", word.span, f"`{word.text}` is given twice")
            value = readers[word.text]()
            if word.text == several:
                found.setdefault(several, []).append(value)
            else:
                found[word.text] = value
        return found

    # ---------------------------------------------------------------------------- statements

    def _invite(self, words: Words) -> _Make:
        words.form = INVITE
        if not words.accept("from"):
            raise words.wrong("`from`")
        source, port = self._source(words)
        given = self._options(
            words,
            {
                "caller": lambda: self._own_number(words),
                "callee": lambda: self._own_number(words),
                "header": lambda: words.header(own=True),
                "codecs": lambda: self._codecs(words),
            },
            "header",
        )
        return lambda position, text: Invite(
            position,
            text,
            source,
            port,
            given.get("caller", CALLER_BY_DEFAULT),
            given.get("callee", CALLEE_BY_DEFAULT),
            tuple(given.get("header", ())),
            given.get("codecs", ()),
        )

    def _source(self, words: Words) -> tuple[str, int]:
        found = words.peek()
        if found is not None and ";" in found.text:
            raise words.wrong("an IP address with or without a port")
        address = words.value("an IP address", _ADDRESS)
        text = found.text if found is not None else ""
        return address.host, address.port if ":" in text.rpartition("]")[2] else 0

    def _own_number(self, words: Words) -> str:
        found = words.peek()
        number = words.number()
        if not number and found is not None:
            raise words.fail("bad-value", found.span, "the number of a call is not empty")
        return number

    def _codecs(self, words: Words) -> tuple[str, ...]:
        found = words.string("a list of codecs")
        known = self._surface.enumerations[_CODEC].values
        codecs = tuple(name.strip() for name in found.text.split(","))
        for name in codecs:
            if name not in known:
                raise words.fail(
                    "unknown-word",
                    found.span,
                    f"there is no codec `{name}`",
                    did_you_mean(name, known) or f"they are: {', '.join(known)}",
                )
        return codecs

    def _expect(self, words: Words) -> _Make:
        words.form = EXPECT
        what = words.word("what is expected")
        readers = {
            "gateway": self._expect_gateway,
            "phone": self._expect_phone,
            "reply": self._expect_reply,
            "end": self._expect_end,
            "metric": self._expect_metric,
        }
        if what.text not in readers:
            raise words.fail(
                "bad-step",
                what.span,
                f"`{what.text}` is nothing that can be expected",
                did_you_mean(what.text, readers) or EXPECT,
            )
        return readers[what.text](words)

    def _expect_phone(self, words: Words) -> _Make:
        words.form = EXPECT_PHONE
        return self._expect_call(words, called_phone(self._phone_number(words)))

    def _expect_gateway(self, words: Words) -> _Make:
        words.form = EXPECT_GATEWAY
        name = words.named("unknown-gateway", "gateway", self._gateways)
        return self._expect_call(words, name)

    def _expect_call(self, words: Words, name: str) -> _Make:
        given = self._options(
            words,
            {
                "callee": words.number,
                "caller": words.number,
                "header": lambda: words.header(own=False),
            },
            "header",
        )
        return lambda position, text: ExpectGateway(
            position,
            text,
            name,
            given.get("callee"),
            given.get("caller"),
            tuple(given.get("header", ())),
        )

    def _expect_reply(self, words: Words) -> _Make:
        words.form = EXPECT_REPLY
        status = words.status(100, 699)
        return lambda position, text: ExpectReply(position, text, status)

    def _expect_metric(self, words: Words) -> _Make:
        words.form = EXPECT_METRIC
        found = words.string("the name of a metric")
        name = found.text
        if name not in self._metrics:
            raise words.fail(
                "unknown-name",
                found.span,
                f"no route counts a metric `{name}`",
                did_you_mean(name, self._metrics),
            )
        count = words.value("a whole number", _COUNT)
        return lambda position, text: ExpectMetric(position, text, name, count)

    def _expect_end(self, words: Words) -> _Make:
        words.form = EXPECT_END
        known = self._surface.enumerations[_END_REASON].values
        reason = words.named("unknown-end-reason", "end reason", known)
        given = self._options(
            words,
            {
                "charge": lambda: self._amount(words),
                "cost": lambda: self._amount(words),
                "duration": lambda: words.value("a duration", _DURATION),
            },
        )
        return lambda position, text: ExpectEnd(
            position, text, reason, given.get("charge"), given.get("cost"), given.get("duration")
        )

    def _amount(self, words: Words) -> Any:
        deck = self._surface.blocks.get("deck")
        if deck is None or not deck.ready:  # nothing has a price then
            name = words.taken[-1]
            raise self._not_supported(words, name.span, name.text)
        return words.value("an amount", _DECIMAL)

    def _gateway(self, words: Words) -> _Make:
        name = words.named("unknown-gateway", "gateway", self._gateways)
        words.form = GATEWAY
        if words.accept("down"):
            return lambda position, text: SetHealth(position, text, name, False)
        if words.accept("up"):
            return lambda position, text: SetHealth(position, text, name, True)
        return read_act(words, name, "gateway")

    def _phone(self, words: Words) -> _Make:
        number = self._phone_number(words)
        words.form = PHONE
        return read_act(words, called_phone(number), "phone")

    def _phone_number(self, words: Words) -> str:
        return words.named("unknown-phone", "phone", self._phones)

    def _register(self, words: Words) -> _Make:
        words.form = REGISTER
        if not words.accept("from"):
            raise words.wrong("`from`")
        source, port = self._source(words)
        if not words.accept("phone"):
            raise words.wrong("`phone`")
        number = self._phone_number(words)
        return lambda position, text: Register(position, text, source, port, number)

    def _account(self, words: Words) -> _Make:
        name = words.named("unknown-account", "account", self._accounts)
        words.form = ACCOUNT
        if not words.accept("balance"):
            raise words.wrong("`balance`")
        span = words.taken[-1].span
        balance: Decimal = words.value("an amount", _DECIMAL)
        if "balance" not in self._accounts[name].given.values:
            self._report.warn(
                "idle-setting",
                span,
                f"account `{name}` has no `balance`: its credit has no limit, also not here",
                "give the account an opening balance",
            )
        return lambda position, text: SetBalance(position, text, name, balance)

    def _wait(self, words: Words) -> _Make:
        words.form = WAIT
        after_ms: int = words.value("a duration", _DURATION)
        return lambda position, text: Wait(position, text, after_ms)

    def _now(self, words: Words) -> _Make:
        words.form = NOW
        found = words.string("a time")
        try:
            at = datetime.fromisoformat(found.text)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            usable = at >= _EARLIEST
        except (ValueError, OverflowError):
            usable = False
        if not usable:
            raise words.fail("bad-value", found.span, f'"{found.text}" is no time', NOW)
        at_ms = round(at.timestamp() * 1000)
        return lambda position, text: SetClock(position, text, at_ms)


def _begins(words: list[ast.Value]) -> bool:
    return words[0].form == "word" and words[0].text in STATEMENTS


def _starts_statement(words: Words) -> bool:
    """Whether the next word is on a line of its own and not an option: `caller hangs up`."""
    left, before = words.left, words.taken[-1]
    return (
        left[0].span.line > before.span.end_line
        and _begins(left)
        and len(left) > 1
        and left[1].form == "word"
    )
