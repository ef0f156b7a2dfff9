"""User names and passwords: what a phone or a trunk proves itself with is its own, and secret."""

from __future__ import annotations

from dsl import ast
from dsl.check.report import Report, link
from dsl.check.settings import CheckedBlock


def check_usernames(accounts: list[CheckedBlock], report: Report) -> None:
    """Report a user name that a trunk shares with a phone or another trunk; an empty password."""
    for account in accounts:
        for child in account.children:
            _check_password(child, report)
    first_of: dict[str, tuple[str, ast.Span]] = {}
    named = [one for account in accounts for one in _named(account)]
    # Phones first: their numbers are what they are.
    for kind, title, username, span in sorted(named, key=lambda one: one[0] != "phone"):
        first, first_span = first_of.setdefault(username, (title, span))
        if first_span is not span and kind == "trunk":
            report.add(
                "same-username",
                span,
                f"{first} proves itself as `{username}` already",
                "give this trunk another `username`",
                chain=(link(first_span, first),),
            )


def _check_password(child: CheckedBlock, report: Report) -> None:
    node = child.given.nodes.get("password")
    if node is None or len(node.values) != 1:
        return
    value = node.values[0]
    if value.form == "string" and not value.text:
        report.add(
            "bad-value",
            value.span,
            f"an empty password proves nothing: anybody is this {child.node.kind}",
            'give it one; env("NAME") keeps it out of the file',
        )


def _named(account: CheckedBlock) -> list[tuple[str, str, str, ast.Span]]:
    found = []
    for child in account.children:
        kind, name = child.node.kind, child.node.name
        if kind == "phone":
            found.append((kind, f"phone {name}", name, child.node.name_span))
        elif kind == "trunk" and "password" in child.given.nodes:
            node = child.given.nodes.get("username")
            span = node.name_span if node is not None else child.node.name_span
            username = child.given.values.get("username", name)
            found.append((kind, f"trunk {account.node.name}/{name}", str(username), span))
    return found
