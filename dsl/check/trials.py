"""Test blocks: their statements one by one, and whether a block makes sense as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from dsl import ast
from dsl.check.forwarding import phones_of
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock
from dsl.check.trial_lines import StatementReader
from dsl.literals import IpNetwork, read_ip
from dsl.program import Position
from dsl.surface import Surface
from dsl.trials import (
    ExpectEnd,
    ExpectGateway,
    ExpectMetric,
    ExpectReply,
    GatewayActs,
    Invite,
    Register,
    SetBalance,
    SetClock,
    SetHealth,
    Step,
    Trial,
    Wait,
)

_EXPECTATIONS = (ExpectGateway, ExpectReply, ExpectEnd)
_WITHOUT_A_CALL = (Invite, Register, SetBalance, SetClock, SetHealth, Wait, ExpectMetric)
_REACHES_A_GATEWAY = (ExpectGateway, GatewayActs)


_Read = tuple[Step, ast.Span]


class TrialChecker:
    """Checks test blocks against what is declared, and the metrics that routes count."""

    def __init__(
        self,
        surface: Surface,
        blocks: list[CheckedBlock],
        metrics: Mapping[str, object],
        report: Report,
    ) -> None:
        gateways = {one.node.name: one for one in blocks if one.node.kind == "gateway"}
        self._report = report
        self._accounts = [block for block in blocks if block.node.kind == "account"]
        accounts = {one.node.name: one for one in self._accounts}
        self._phones = {one.node.name for one in phones_of(blocks)}
        phones = dict.fromkeys(self._phones)
        self._reader = StatementReader(surface, gateways, accounts, phones, metrics, report)

    def check(self, nodes: list[ast.Test], identifying: bool) -> list[Trial]:
        """The trials of all blocks, in order; `identifying` says that a route asks for the trunk.

        A statement that was reported is missing among the steps.
        """
        networks = self._networks() if identifying else None
        first_of: dict[str, ast.Test] = {}
        trials = []
        for node in nodes:
            self._check_title(node, first_of)
            read = self._read(node)
            if networks is not None:
                self._check_sources(read, networks)
            position = Position(node.span.file, node.span.line, node.span.column)
            trials.append(Trial(node.title, position, tuple(step for step, _ in read)))
        return trials

    def _check_title(self, node: ast.Test, first_of: dict[str, ast.Test]) -> None:
        if not node.title.strip():
            self._report.add(
                "missing-name",
                node.title_span,
                "this test has no name",
                "say in a sentence what it shows",
            )
            return
        first = first_of.setdefault(node.title, node)
        if first is not node:
            self._report.add(
                "duplicate-test",
                node.title_span,
                f'there is a test "{node.title}" already',
                chain=(link(first.title_span, "the first one"),),
            )

    def _read(self, node: ast.Test) -> list[_Read]:
        read: list[_Read] = []
        whole = True
        for line in node.lines:
            for one in self._reader.read(line):
                if one is None:
                    whole = False
                else:
                    read.append(one)
        if whole:
            self._check_order(read)
            self._check_expectations(node, read)
        return read

    def _check_order(self, read: list[_Read]) -> None:
        called = False
        now_ms = 0
        for step, span in read:
            if isinstance(step, Invite):
                called = True
            elif not called and not isinstance(step, _WITHOUT_A_CALL):
                self._report.add(
                    "misplaced-step",
                    span,
                    f"`{_head(step)}` stands before any call",
                    "write `invite from …;` before it",
                )
                return
            if isinstance(step, SetClock):
                if step.at_ms < now_ms:
                    self._report.add(
                        "misplaced-step",
                        span,
                        "this is earlier than the `now` before it, and time only goes on",
                    )
                now_ms = step.at_ms

    def _check_expectations(self, node: ast.Test, read: list[_Read]) -> None:
        if self._report.broken or any(isinstance(step, _EXPECTATIONS) for step, _ in read):
            return
        self._report.warn(
            "no-expectation",
            node.title_span,
            "this test expects nothing, so it cannot fail",
            "write what is to come of it, such as `expect end Normal;`",
        )

    # ------------------------------------------------------------------------------- sources

    def _networks(self) -> list[tuple[IpNetwork, str]] | None:
        """What trunks claim, with the caller's prefix; None if not all of it could be read."""
        claimed = []
        for account in self._accounts:
            for trunk in account.children:
                given = trunk.given
                if trunk.node.kind != "trunk":
                    continue
                node, networks = given.nodes.get("ips"), given.values.get("ips")
                if node is None or networks is None or len(node.values) != len(networks):
                    return None
                prefix = given.values.get("caller_prefix", "")
                claimed += [(network, prefix) for network in networks]
        return claimed

    def _check_sources(self, read: list[_Read], claimed: list[tuple[IpNetwork, str]]) -> None:
        for at, (invite, span) in enumerate(read):
            if not isinstance(invite, Invite) or not _reaches_a_gateway(read[at + 1 :]):
                continue
            host = f"[{invite.source}]" if ":" in invite.source else invite.source
            source = read_ip(host)
            prefixes = [prefix for network, prefix in claimed if source in network]
            if any(invite.caller.startswith(prefix) for prefix in prefixes):
                continue
            if invite.caller in self._phones:
                continue
            if prefixes:
                what = f'no trunk takes a call from {host} with the caller "{invite.caller}"'
                help = "look at `caller_prefix` of the trunks with its network"
            else:
                what = f"no trunk has the address {host}"
                help = "name an address out of some trunk's `ips`"
            self._report.warn(
                "unknown-source", span, f"{what}, yet a gateway is expected to get it", help
            )


def _reaches_a_gateway(after: list[_Read]) -> bool:
    for step, _ in after:
        if isinstance(step, Invite):
            return False
        if isinstance(step, _REACHES_A_GATEWAY):
            return True
    return False


def _head(step: Step) -> str:
    words = step.text.split()
    return " ".join(words[:2])
