"""Small mistakes in a program, as fingers make them."""

from __future__ import annotations

import re
from random import Random

TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\$?[A-Za-z_][\w.]*|\d[\w.]*|\s+|[=!<>]=|=~|!~|&&|\|\||.')
OTHERS = (
    *("{", "}", "(", ")", "[", "]", ";", ",", "=", "==", "&&", "!", "+", "..", "in", "if", "else"),
    *("return", "drop;", "exit;", "break;", "$rU", "$rs", "$gateway.id", "$call.v0", "$call.other"),
    *("x1", "g0", "nobody", "1", '"86"', "30s", "0.5", "true", "10.0.0.0/8", "route(R0)"),
    *("next();", "end(NotFound);", "call(g0);", "case 1:", "default:", "let x1 = 1;", "[]", "/^1/"),
)


def spoilt(text: str, random: Random) -> str:
    """The program with a word or two of it dropped, doubled, exchanged or replaced."""
    words = TOKEN.findall(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = [at for at, word in enumerate(words) if not word.isspace()]
        at, other = random.choice(places), random.choice(places)
        what = random.randrange(8)
        if what == 0:
            words[at] = ""
        elif what == 1:
            words[at] += " " + words[at]
        elif what == 2:
            words[at], words[other] = words[other], words[at]
        elif what == 3:
            words[at] = f" {random.choice(OTHERS)} "
        else:
            # Another word of its kind may fit as well: such a program is checked in full.
            alike = [word for word in words if _sort(word) == _sort(words[at])]
            words[at] = random.choice(alike)
    return "".join(words)


def _sort(word: str) -> str:
    if word[:1] in ('"', "$"):
        return word[0]
    if word[:1].isdigit():
        return "1"
    return "a" if word[:1].isalpha() else "+"
