"""Words and marks of other languages that stand where ours cannot go on, and what is meant by them.

What the recovery says about a place that it could not repair.
"""

from __future__ import annotations

import re

OPERATORS = {"=": "==", "and": "&&", "or": "||", "&": "&&", "|": "||", "<>": "!=", "===": "=="}
WORDS = {
    "elif": "write `else if`",
    "elsif": "write `else if`",
    "elseif": "write `else if`",
    "foreach": "write `for x in list { … }`",
    "unless": "write `if (!(…))`",
    "until": "write `while (!(…))`",
    "not": "write `!`",
    "var": "write `let name = value;`",
}
_NO_MODULES = "there are no modules: all functions are there, and what they need is a setting"
TOP_WORDS = {
    "loadmodule": _NO_MODULES,
    "loadmodulex": _NO_MODULES,
    "loadpath": _NO_MODULES,
    "modparam": _NO_MODULES,
    "modparamx": _NO_MODULES,
    "include_file": 'write `include "…"`',
    "import_file": 'write `include "…"`',
    "cfgengine": 'Python functions come by `import python "hooks.py" as hooks`',
}
"""what begins a line of kamailio.cfg outside of its routes"""
ODD_QUOTES = "‘’“”„«»`"
TRANSFORMATION = re.compile(r"\$\((?:[^()\n]|\([^()\n]*\))*\)")
COUNTING_FOR = re.compile(r"for\s*\([^;{}\n]*;[^;{}\n]*;[^;{}\n]*\)")
FUNCTIONS_FOR = {
    "substr": "substr(text, start, length)",
    "len": "len(text)",
    "int": "int(text, default)",
    "strip": "strip(text, n)",
    "striptail": "strip(text, -n)",
    "tolower": "lower(text)",
    "rm": 'replace(text, old, "")',
    "replace": "replace(text, old, new)",
    "re": "rewrite(number, rules)",
    "prefixes": "starts_with(text, start)",
    "select": "match(text, regex, group)",
    "uri": "match(text, regex, group)",
    "param": "match(text, regex, group)",
}
_TYPES = frozenset(
    ("int", "str", "string", "bool", "float", "double", "const", "local", "set", "auto", "my")
)


def about_transformation(text: str) -> str:
    """The help for `$(rU{s.substr,0,3})` and the like."""
    for word in re.findall(r"[a-z]+", text.partition("{")[2]):
        if word in FUNCTIONS_FOR:
            return f"write `{FUNCTIONS_FOR[word]}`"
    return "functions do that: `substr`, `strip`, `replace`, `lower`, `len`, `match`, `rewrite`"


def about_mark(found: str, previous: str, before: str) -> tuple[str, str]:
    """What is wrong with a mark that fits nowhere, and the help; "" for what is not known.

    `previous` is the last word that fitted, `before` the text of its line up to the mark.
    """
    if found == "?":
        return "there is no `… ? … : …`", "write `if (…) … else …`"
    if found == "." and before.rstrip()[-1:] not in ("", "."):
        return "`.` joins nothing", "`+` joins two strings"
    if previous in ("+", "-", "*", "/") and found in ("=", previous):
        target = before.strip().removesuffix(previous).strip()
        amount = "…" if found == "=" else "1"
        what = f"`{previous}{found}` is no operator"
        if re.fullmatch(r"\$?[\w.]+", target):
            return what, f"write `{target} = {target} {previous} {amount};`"
        return what, ""
    return "", ""


def about_previous(previous: str, found: str) -> tuple[str, str]:
    """What is wrong with the word before the place, and the help; "" where it may be right."""
    if previous == "not":
        return "`not` is no operator", "write `!(…)` around the condition"
    if previous in _TYPES and found.isidentifier():
        return f"`{previous}` is no word of the language", f"write `let {found} = value;`"
    return "", ""
