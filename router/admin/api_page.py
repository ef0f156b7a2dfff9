"""The OpenAPI document for people: one page without a script, that asks no other host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { border-bottom: 1px solid #8886; margin-top: 2.5rem; text-transform: capitalize; }
details { border: 1px solid #8884; border-radius: .4rem; margin: .4rem 0; padding: .3rem .7rem; }
summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #8882; border-radius: .3rem; overflow: auto; max-height: 24rem; padding: .6rem; }
.method { display: inline-block; font-weight: 600; width: 4.5rem; }
.role { border: 1px solid #8888; border-radius: 1rem; font-size: 12px; padding: 0 .5rem; }
td, th { padding: .1rem 1rem .1rem 0; text-align: left; vertical-align: top; }
"""
ORDER: Final = ("router", "calls", "cdrs", "gateways", "accounts", "trunks", "phones", "rates",
                "ledger")


def render_page(document: Mapping[str, Any]) -> str:
    """The page of a whole document, as `api_document` makes it."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for tag in operation["tags"]:
                by_tag.setdefault(tag, []).append("".join(_operation(path, method, operation)))
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{_text(info['description'])}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Every request but these two '
        "needs <code>Authorization: Bearer TOKEN</code>.</p>",
    ]
    for tag in sorted(by_tag, key=lambda one: (ORDER.index(one) if one in ORDER else 99, one)):
        parts += [f"<h2>{escape(tag)}</h2>", *by_tag[tag]]
    return "\n".join(parts) + "</html>\n"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f'<code><span class="method">{method.upper()}</span> {escape(path)}</code> '
        f'{escape(operation["summary"])} <span class="role">{operation["x-role"]}</span></summary>'
        f"<p>{_text(operation['description'])}</p>"
    )
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table>"
        for one in parameters:
            must = "" if one["required"] else "optional"
            yield (
                f"<tr><td><code>{escape(one['name'])}</code><td>{one['in']}<td>{must}"
                f"<td>{_text(one.get('description', ''))}</tr>"
            )
        yield "</table>"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from _examples("The body", content)
    for status, answer in operation["responses"].items():
        for content in answer.get("content", {}).values():
            yield from _examples(f"The answer, {status}", content)
    problems = [status for status in operation["responses"] if not status.startswith("2")]
    yield f"<p>Problems: {', '.join(problems)}</p></details>"


def _examples(title: str, content: Mapping[str, Any]) -> Iterator[str]:
    for example in content.get("examples", {}).values():
        value = example["value"]
        shown = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        yield f"<p>{title}</p><pre>{escape(shown)}</pre>"


def _text(text: str) -> str:
    """Markdown's `code`, and nothing else of it."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if index % 2 and index < len(parts) - 1 else part
        for index, part in enumerate(parts)
    )
