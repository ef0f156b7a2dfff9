"""Trunks by their networks: the same one twice, and those inside another account's."""

from __future__ import annotations

from dataclasses import dataclass

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock
from dsl.literals import IpNetwork


@dataclass(slots=True)
class _Claim:
    """A network that a trunk claims, and what tells its calls from another trunk's."""

    network: IpNetwork
    account: str
    trunk: str
    prefix: str
    priority: int
    span: ast.Span

    @property
    def title(self) -> str:
        return f"trunk {self.account}/{self.trunk}"


def check_networks(accounts: list[CheckedBlock], report: Report) -> None:
    """Report networks of two trunks that nothing tells apart, warn of overlapping accounts."""
    claims = [claim for account in accounts for claim in _claims_of(account)]
    first_of: dict[tuple[IpNetwork, str, int], _Claim] = {}
    for claim in claims:
        first = first_of.setdefault((claim.network, claim.prefix, claim.priority), claim)
        if first is not claim:
            same = first.title == claim.title
            report.add(
                "same-network",
                claim.span,
                f"{claim.title} names {claim.network} twice"
                if same
                else f"{first.title} has the network {claim.network} already, and nothing tells "
                "the two apart",
                "" if same else "give one of them a `caller_prefix` or another `priority`",
                chain=(link(first.span, f"{claim.network} of {first.title}"),),
            )
    _check_overlaps(list(first_of.values()), report)


def _claims_of(account: CheckedBlock) -> list[_Claim]:
    claims = []
    for child in account.children:
        values = child.given.values
        networks = values.get("ips", [])
        if child.node.kind != "trunk" or not isinstance(networks, list):
            continue
        node = child.given.nodes.get("ips")
        if node is None:
            continue
        spans = [value.span for value in node.values]
        for at, network in enumerate(networks):
            claims.append(
                _Claim(
                    network,
                    account.node.name,
                    child.node.name,
                    values.get("caller_prefix", ""),
                    values.get("priority", 1),
                    # A value that could not be read is missing among the networks.
                    spans[at] if len(spans) == len(networks) else spans[0],
                )
            )
    return claims


def _check_overlaps(claims: list[_Claim], report: Report) -> None:
    # Sorted like this a network comes behind all that it lies in.
    claims.sort(
        key=lambda claim: (
            claim.network.version,
            int(claim.network.network_address),
            claim.network.prefixlen,
        )
    )
    around: list[_Claim] = []
    for claim in claims:
        while around and not _inside(claim.network, around[-1].network):
            around.pop()
        for outer in reversed(around):
            if (
                outer.account != claim.account
                and outer.prefix == claim.prefix
                and outer.network != claim.network
            ):
                report.warn(
                    "overlapping-networks",
                    claim.span,
                    f"{claim.network} of {claim.title} lies in {outer.network} of {outer.title}: "
                    f"its calls go to {claim.account}",
                    chain=(link(outer.span, f"{outer.network} of {outer.title}"),),
                )
                break
        around.append(claim)


def _inside(inner: IpNetwork, outer: IpNetwork) -> bool:
    return (
        inner.version == outer.version
        and outer.prefixlen <= inner.prefixlen
        and int(inner.network_address) >> (inner.max_prefixlen - outer.prefixlen)
        == int(outer.network_address) >> (inner.max_prefixlen - outer.prefixlen)
    )
