"""The layout of each construct, from the way it was written to the way it is laid out."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from dsl import format as format_module
from dsl.format import LayoutError, format_text
from router.routing.surface import SURFACE

ROOT = Path(__file__).parents[2]
KINDS = frozenset(SURFACE.blocks)
CFG = [
    ROOT / "routes.cfg",
    *sorted((ROOT / "docs").rglob("*.cfg")),
    *sorted(
        path
        for path in (ROOT / "tests").rglob("*.cfg")
        if not {"errors", "kamailio"} & {*path.parts}
    ),
]


def laid_out(text: str) -> str:
    result = format_text(text, "routes.cfg", KINDS)
    assert result.findings == []
    assert format_text(result.text, "routes.cfg", KINDS).text == result.text
    return result.text


def in_route(text: str) -> str:
    """Statements laid out in a route, without the route around them."""
    lines = laid_out("request_route {\n" + text + "\n}\n").split("\n")
    assert lines[0] == "request_route {"
    assert lines[-2:] == ["}", ""]
    return dedent("\n".join(lines[1:-2])) + "\n"


def test_the_example_of_the_language_is_left_as_it_is() -> None:
    text = (ROOT / "tests/dsl/layouts/page.cfg").read_text()
    assert laid_out(text) == text


@pytest.mark.parametrize("path", CFG, ids=lambda path: path.name)
def test_every_file_of_ours_can_be_laid_out(path: Path) -> None:
    # Chunked files hold several programs, and the files that these name.
    chunks = re.split(r"^---(?: (\S+))?\n", "---\n" + path.read_text(), flags=re.MULTILINE)
    for name, chunk in zip(chunks[1::2], chunks[2::2], strict=True):
        if name is None or name.endswith(".cfg"):
            laid_out(chunk)


ITEMS = [
    # Settings: up to nine letters share a column, longer ones that follow each other another.
    (
        """
        listen=udp:127.0.0.1:5060,tcp:127.0.0.1:5060;state="state"
        ringing_timeout=60s
        invite_timeout  = 10s

        t1 = 500ms
        """,
        """
        listen = udp:127.0.0.1:5060, tcp:127.0.0.1:5060
        state  = "state"
        ringing_timeout = 60s
        invite_timeout  = 10s

        t1 = 500ms
        """,
    ),
    # A long list goes on below its first value.
    (
        "gateway a {\n address=127.0.0.1\n prefixes = "
        + ", ".join(map(str, range(8600, 8625)))
        + "}",
        """
        gateway a {
            address  = 127.0.0.1
            prefixes = 8600, 8601, 8602, 8603, 8604, 8605, 8606, 8607, 8608, 8609, 8610, 8611, 8612, 8613,
                       8614, 8615, 8616, 8617, 8618, 8619, 8620, 8621, 8622, 8623, 8624
        }
        """,  # noqa: E501
    ),
    (
        """
        gateway a {
        prefixes = 86, # China
          # America and Canada
          1,
          44 # Britain
        }
        """,
        """
        gateway a {
            prefixes = 86,                   # China
                       # America and Canada
                       1, 44                 # Britain
        }
        """,
    ),
    # A block on one line may stay there; next to each other their braces are aligned.
    (
        """
        deck retail{file="a.csv"}
        deck vendor_cn { file = "b.csv"; }
        gateway a { address = 127.0.0.1 # why
        }
        group cheap {}
        """,
        """
        deck retail    { file = "a.csv" }
        deck vendor_cn { file = "b.csv" }
        gateway a {
            address = 127.0.0.1              # why
        }
        group cheap { }
        """,
    ),
    (
        "gateway a { address = 127.0.0.1  prefixes = " + ", ".join(["86"] * 24) + " }",
        """
        gateway a {
            address  = 127.0.0.1
            prefixes = 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86, 86,
                       86, 86, 86
        }
        """,  # noqa: E501
    ),
    (
        'account acme {lines=30 trunk office {ips = 127.0.0.1} phone 1001 { password = env("P");}}',
        """
        account acme {
            lines = 30
            trunk office { ips = 127.0.0.1 }
            phone 1001   { password = env("P") }
        }
        """,
    ),
    # Routes and tests stand apart; blank lines become one, and none at the edges.
    (
        """


        include   "a.cfg";import  python "h.py"  as  h


        # About the route.
        request_route{

            reply(200);


            # The end.

        }
        route [ A ] { }
        test "t"{invite from 127.0.0.1   callee "86" ;
        wait 2s; }
        lines = 1
        """,
        """
        include "a.cfg"
        import python "h.py" as h

        # About the route.
        request_route {
            reply(200);

            # The end.
        }

        route[A] {
        }

        test "t" {
            invite from 127.0.0.1 callee "86";
            wait 2s;
        }

        lines = 1
        """,
    ),
    # Comments behind lines: in one column, those that go on below another one with it.
    (
        """
        t1 = 500ms   # the round trip,
                     # as RFC 3261 has it
        number_length = 1-32 /* digits */ # of both
        t2 = 4s
        metrics = 127.0.0.1:9464        # http
        # own
        """,
        """
        t1      = 500ms                      # the round trip,
                                             # as RFC 3261 has it
        number_length = 1-32                 /* digits */ # of both
        t2      = 4s
        metrics = 127.0.0.1:9464             # http
        # own
        """,
    ),
    (
        """
        state = "长途"   # 中文
                         # 更多
        listen = udp:127.0.0.1:5060, tcp:127.0.0.1:5060  # both
        """,
        """
        state  = "长途"                                  # 中文
                                                         # 更多
        listen = udp:127.0.0.1:5060, tcp:127.0.0.1:5060  # both
        """,
    ),
    # A comment of several lines keeps its shape.
    (
        """
        gateway a {
          /* one
               two
            */
            lines = 1
        }
        """,
        """
        gateway a {
            /* one
                 two
              */
            lines = 1
        }
        """,
    ),
    ("", ""),
    ("\n\n# only this", "# only this\n"),
]


@pytest.mark.parametrize(("before", "after"), ITEMS)
def test_items_have_one_layout(before: str, after: str) -> None:
    assert laid_out(dedent(before)) == dedent(after).removeprefix("\n")


STATEMENTS = [
    ("let x=1;x=x+2*-3;", "let x = 1;\nx = x + 2 * -3;\n"),
    ("drop ( ) ;", "drop;\n"),
    ("return;return  1 ;", "return;\nreturn 1;\n"),
    ("if(a)drop;", "if (a) drop;\n"),
    ("if (a)\n   drop;\nelse\n   exit;", "if (a) drop;\nelse exit;\n"),
    ("if (a) { drop; } else { exit; }", "if (a) {\n    drop;\n} else {\n    exit;\n}\n"),
    (
        "if (a) drop; else if (b) { exit; }\nelse\n{ x(); }",
        "if (a) drop;\nelse if (b) {\n    exit;\n} else {\n    x();\n}\n",
    ),
    ("if (a) if (b) drop; else exit;", "if (a)\n    if (b) drop;\n    else exit;\n"),
    ("if (a) {}", "if (a) {\n}\n"),
    ("while(x<3)x=x+1;", "while (x < 3) x = x + 1;\n"),
    ("for(x in [1,2]){f(x);}", "for x in [1, 2] {\n    f(x);\n}\n"),
    ("for ( x in 1 .. 3 ) f(x);", "for (x in 1..3) f(x);\n"),
    ("{ drop; }", "{\n    drop;\n}\n"),
    (
        'switch($rm){case "A":f();case "BCD" , "E" :g();default:drop;}',
        'switch ($rm) {\n    case "A":        f();\n    case "BCD", "E": g();\n'
        "    default:         drop;\n}\n",
    ),
    (
        'switch($rm){case "A":f();case "BCD":f();g();case 500..599: if (a) drop; case /x/:}',
        'switch ($rm) {\n    case "A": f();\n    case "BCD":\n        f();\n        g();\n'
        "    case 500..599:\n        if (a) drop;\n    case /x/:\n}\n",
    ),
    ("a . b ( $hdr( X-A ) , c = - 1 ) ;", "a.b($hdr(X-A), c = -1);\n"),
    ("if (!a&&!(b||-c<1)) drop;", "if (!a && !(b || -c < 1)) drop;\n"),
    # Too long for a line.
    (
        "call(without(gateways($rU), " + "x" * 50 + "), on_branch = B, on_failure = F);",
        "call(\n    without(gateways($rU), " + "x" * 50 + "),\n    on_branch = B,\n"
        "    on_failure = F\n);\n",
    ),
    (
        f'let x = "{"a" * 50}" + $rU + "{"b" * 50}";',
        f'let x = "{"a" * 50}"\n    + $rU\n    + "{"b" * 50}";\n',
    ),
    (
        f'if ($ua == "{"a" * 50}" || $rU == "1" && $ua == "{"b" * 50}") reply(403);',
        f'if (\n    $ua == "{"a" * 50}"\n    || $rU == "1" && $ua == "{"b" * 50}"\n) reply(403);\n',
    ),
    (
        f"if ($rs in [{', '.join(['404'] * 30)}]) {{ exit; }}",
        f"if (\n    $rs in [\n        {', '.join(['404'] * 17)},\n"
        f"        {', '.join(['404'] * 13)}\n"
        "    ]\n) {\n    exit;\n}\n",
    ),
    (
        f'if ($ua =~ /scanner/ || $fU == "{"1" * 40}") reply(403, "{"no " * 15}");',
        f'if ($ua =~ /scanner/ || $fU == "{"1" * 40}")\n    reply(403, "{"no " * 15}");\n',
    ),
    # Comments.
    ("if (a) # why\n drop;", "if (a)" + " " * 27 + "# why\n    drop;\n"),
    ("if (a)\n # why\n drop;", "if (a)\n    # why\n    drop;\n"),
    ("if (a) # why\n { drop; }", "if (a) {" + " " * 25 + "# why\n    drop;\n}\n"),
    (
        "if (a) { drop; } // no\n // else\n else { exit; }",
        "if (a) {\n    drop;\n}" + " " * 32 + "// no\n// else\nelse {\n    exit;\n}\n",
    ),
    (
        "if (a || # one\n b # two\n ) drop;",
        "if (\n    a" + " " * 28 + "# one\n    || b" + " " * 25 + "# two\n) drop;\n",
    ),
    (
        "f(1, # one\n # two\n 2);",
        "f(\n    1," + " " * 27 + "# one\n    # two\n    2\n);\n",
    ),
    ("f(/* a */ 1 /* b */, 2) /* c */;", "f(/* a */ 1 /* b */, 2) /* c */;\n"),
    ("let # odd\n x = 1; # end", "# odd\nlet x = 1;" + " " * 23 + "# end\n"),
    ("# as in x {\n\ndrop;", "# as in x {\n\ndrop;\n"),
    ("drop; /* two\n lines */", "/* two\nlines */\ndrop;\n"),
    (
        'switch ($rm) { # s\n # first\n case "A": f(); # a\n case "B": # b\n g();\n # last\n }',
        "switch ($rm) {" + " " * 19 + '# s\n    # first\n    case "A": f();' + " " * 15 + "# a\n"
        '    case "B":' + " " * 20 + "# b\n        g();\n    # last\n}\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), STATEMENTS)
def test_statements_have_one_layout(before: str, after: str) -> None:
    assert in_route(before) == after


def test_a_long_row_of_branches_is_laid_out() -> None:
    text = "if (a) drop;" + "else if (a) { drop; }" * 240 + "else drop;"
    lines = in_route(text).split("\n")
    assert lines[:2] == ["if (a) drop;", "else if (a) {"]
    assert lines[-3:] == ["    drop;", "} else drop;", ""]


def test_text_with_syntax_errors_is_given_back_with_them() -> None:
    text = "request_route {  reply(200) \n"
    result = format_text(text, "routes.cfg", KINDS)
    assert result.text == text
    assert [found.code for found in result.findings] == ["unclosed-brace"]


def test_what_is_only_wrong_for_the_checker_is_laid_out() -> None:
    assert laid_out("gatway x{lines=0}") == "gatway x { lines = 0 }\n"


def test_a_layout_that_would_mean_something_else_is_not_given_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(format_module, "_lay_out", lambda text: text.replace("200", "404"))
    with pytest.raises(LayoutError, match="would change what the text means"):
        format_text("request_route { reply(200); }", "routes.cfg", KINDS)


def test_a_layout_that_would_lose_a_comment_is_not_given_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(format_module, "_lay_out", lambda text: text.replace("# kept", ""))
    with pytest.raises(LayoutError, match="would lose a comment"):
        format_text("lines = 1 # kept\n", "routes.cfg", KINDS)
