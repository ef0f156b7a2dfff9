"""What the checker has to say: the shape of a finding, and how it is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

ERROR = "error"
WARNING = "warning"
HINT = "hint"


class ChainLink(msgspec.Struct, frozen=True):
    """One step on the way to a finding, such as the call of a route."""

    file: str
    line: int
    column: int
    message: str


class Finding(msgspec.Struct, frozen=True):
    """One mistake: where it stands, what it is in a sentence, and what would help.

    Lines and columns count from 1; the end is the first column behind the marked text. `code` is
    stable and documented in docs/findings.md.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    severity: str
    code: str
    message: str
    help: str = ""
    chain: tuple[ChainLink, ...] = ()


class ConfigError(Exception):
    """A configuration that cannot be loaded; `findings` are all of its mistakes, in order."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        errors = [finding for finding in findings if finding.severity == ERROR]
        first = errors[0] if errors else self.findings[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.file}:{first.line}:{first.column}: {first.message}{more}")


def count_errors(findings: Iterable[Finding]) -> int:
    """How many of the findings stop a load."""
    return sum(finding.severity == ERROR for finding in findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by file, line and column, each once."""
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda found: (found.file, found.line, found.column, found.code))


_SECRET = re.compile(r'(\b\w*(?:pass|secret)\w*\s*=\s*")([^"]*)', re.IGNORECASE)
"""A password in the text, also behind a misspelt setting: findings end up in logs and mails."""


def render_finding(finding: Finding, source: str) -> str:
    """The finding as lines of text: place, sentence, source line with a caret, help and chain.

    `source` is the text of the finding's file, "" if it cannot be shown.
    """
    place = f"{finding.file}:{finding.line}:{finding.column}"
    lines = [f"{place}: {finding.severity}: {finding.message} [{finding.code}]"]
    marked = _marked_line(finding, source)
    if marked:
        lines += marked
    for link in finding.chain:
        lines.append(f"      {link.file}:{link.line}:{link.column}: {link.message}")
    if finding.help:
        lines.append(f"      help: {finding.help}")
    return "\n".join(lines)


def _marked_line(finding: Finding, source: str) -> list[str]:
    rows = source.split("\n")
    if not 1 <= finding.line <= len(rows):
        return []
    text = rows[finding.line - 1].rstrip("\r")
    if not text.strip():
        return []
    last = finding.end_column if finding.end_line == finding.line else len(text) + 1
    width = max(1, min(last, len(text) + 1) - finding.column)
    # Tabs stay tabs under the text, so that the caret stands where the eye expects it.
    indent = "".join("\t" if char == "\t" else " " for char in text[: finding.column - 1])
    indent += " " * (finding.column - 1 - len(indent))
    shown = _SECRET.sub(lambda found: found[1] + "*" * len(found[2]), text)
    return [f"{finding.line:>5} | {shown}", f"      | {indent}{'^' * width}"]


def render_findings(findings: Iterable[Finding], sources: Mapping[str, str]) -> str:
    """All findings as text, a blank line between two; `sources` maps files to their text."""
    return "\n\n".join(
        render_finding(finding, sources.get(finding.file, "")) for finding in findings
    )


def findings_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON object: `findings`, `errors` and `warnings`."""
    warnings = sum(finding.severity == WARNING for finding in findings)
    answer = {
        "findings": list(findings),
        "errors": count_errors(findings),
        "warnings": warnings,
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
