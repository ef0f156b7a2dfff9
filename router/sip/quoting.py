"""Quoted strings, angle brackets and the separators between them (RFC 3261 §25.1).

Never raises: a quote or bracket that is not closed reaches to the end of the text, so that what a
peer left open cannot swallow more than its own header.
"""

from __future__ import annotations

import re

WHITESPACE = " \t"

_next_stop = {
    ",": re.compile(r'[",<]').search,
    ";": re.compile(r'[";<]').search,
}
_next_opening = re.compile(r'["<]').search
_quoted_pair = re.compile(r"\\(.)", re.DOTALL).sub


def _closing_quote(text: str, start: int) -> int:
    """Where the quoted string that opens at `start` closes; -1 when it does not."""
    at = start + 1
    while True:
        end = text.find('"', at)
        if end < 0:
            return -1
        before = end - 1
        while before > start and text[before] == "\\":
            before -= 1
        if (end - before) % 2:
            return end
        at = end + 1


def end_of_quoted(text: str, start: int) -> int:
    """The index after the closing quote of the quoted string that opens at `start`."""
    end = _closing_quote(text, start)
    return len(text) if end < 0 else end + 1


def is_closed(text: str) -> bool:
    """Whether every quote and bracket that opens in the text closes in it."""
    at = 0
    while True:
        stop = _next_opening(text, at)
        if stop is None:
            return True
        at = stop.start()
        at = _closing_quote(text, at) if text[at] == '"' else text.find(">", at)
        if at < 0:
            return False
        at += 1


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """The stripped, non-empty parts between separators ("," or ";") outside "..." and <...>."""
    if separator not in text:
        part = text.strip(WHITESPACE)
        return [part] if part else []
    if '"' not in text and "<" not in text:
        parts = text.split(separator)
    else:
        parts = []
        search = _next_stop[separator]
        begin = at = 0
        while True:
            stop = search(text, at)
            if stop is None:
                break
            at = stop.start()
            found = text[at]
            if found == separator:
                parts.append(text[begin:at])
                begin = at = at + 1
            elif found == '"':
                at = end_of_quoted(text, at)
            else:
                at = text.find(">", at) + 1
                if not at:
                    break
        parts.append(text[begin:])
    return [part for part in (part.strip(WHITESPACE) for part in parts) if part]


def unquote(text: str) -> str:
    """A quoted string without its quotes and escapes; any other text unchanged."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    text = text[1:-1]
    return _quoted_pair(r"\1", text) if "\\" in text else text


def quote(text: str) -> str:
    r"""The text as a quoted string; CR and LF, which no quoted string can hold, become spaces."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\r", " ").replace("\n", " ") + '"'
