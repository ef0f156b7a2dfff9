"""The function table: everything a routes.cfg may contain, in one place.

It feeds the checker, the generator, the reference and the editor. What has `ready=False` belongs
to the language and cannot be carried out yet; the checker says so. The attributes of `c` that the
entries name are those of router/routing/context.py, and a test holds the two together.
"""

from __future__ import annotations

from dsl.surface import (
    BRANCH,
    END,
    ENTRY_KINDS,
    EVENT,
    FAILURE,
    REPLY,
    REQUEST,
    Additions,
    Attribute,
    Enumeration,
    Fact,
    ObjectType,
    PythonSide,
    Surface,
    by_name,
)
from dsl.types import DECIMAL, DURATION, INT, IP, STRING, Type, enumeration_type
from router.core.end_reasons import EndReason
from router.routing.decks import TABLES
from router.routing.hook_calls import wrap_hook
from router.routing.hook_values import CLASSES_OF_OBJECTS
from router.routing.hooks import Call, Milliseconds
from router.routing.number_lists import LISTS
from router.routing.surface_functions import (
    ACCOUNT,
    END_REASON,
    FUNCTIONS,
    GATEWAY,
    LOG_LEVEL,
    PHONE,
    RING,
    TRUNK,
)
from router.routing.surface_settings import BLOCKS, GLOBAL
from router.routing.trial.offer import CODECS

OBJECTS_FILE = "objects.cfg"
"""what commands have added, in the state folder"""
_MESSAGE = ENTRY_KINDS - {EVENT}
_REPLY = frozenset({REPLY, FAILURE, END})
_CHANGED = frozenset({REQUEST, BRANCH, FAILURE})
_NONE: frozenset[str] = frozenset()
CODEC = enumeration_type("codec")


def _fact(
    name: str,
    alias: str,
    type_: Type,
    doc: str,
    kinds: frozenset[str] = _MESSAGE,
    assignable: frozenset[str] = _NONE,
    number: bool = False,
) -> Fact:
    return Fact(name, alias, type_, kinds, doc, assignable, number)


FACTS = (
    _fact("rm", "method", STRING, "The method of the request."),
    _fact("ru", "uri", STRING, "The request URI."),
    _fact(
        "rU",
        "callee",
        STRING,
        "The called number: the user part of the request URI.",
        assignable=_CHANGED,
        number=True,
    ),
    _fact("rd", "uri_domain", STRING, "The domain of the request URI.", assignable=_CHANGED),
    _fact("fu", "from_uri", STRING, "The URI of From."),
    _fact(
        "fU",
        "caller",
        STRING,
        "The caller's number: the user part of From.",
        assignable=_CHANGED,
        number=True,
    ),
    _fact("fd", "from_domain", STRING, "The domain of From."),
    _fact("fn", "display_name", STRING, "The display name of From.", assignable=_CHANGED),
    _fact("tu", "to_uri", STRING, "The URI of To."),
    _fact("tU", "to_user", STRING, "The user part of To.", number=True),
    _fact("td", "to_domain", STRING, "The domain of To."),
    _fact("si", "source_ip", IP, "The address the request came from."),
    _fact("sp", "source_port", INT, "The port the request came from."),
    _fact("Ri", "local_ip", IP, "Our address at which the request came in."),
    _fact("Rp", "local_port", INT, "Our port at which the request came in."),
    _fact("pr", "transport", STRING, 'The transport of the request: "udp", "tcp" or "tls".'),
    _fact("ua", "user_agent", STRING, "The header User-Agent."),
    _fact("ci", "call_id", STRING, "The Call-ID."),
    _fact("cs", "cseq", INT, "The number of CSeq."),
    _fact("rs", "reply_code", INT, "The status of the response.", _REPLY),
    _fact("rr", "reply_reason", STRING, "The reason phrase of the response.", _REPLY),
    _fact("rb", "body", STRING, "The body of the message."),
    _fact("ct", "contact", STRING, "The header Contact."),
    _fact("mf", "max_forwards", INT, "Max-Forwards; 70 if there is none."),
)

OBJECTS = (
    ObjectType(
        "account",
        ACCOUNT,
        by_name(
            Attribute("id", STRING, 'Its name; "" before identify() found one.'),
            Attribute("lines", INT, "The lines it may use; -1 is unlimited."),
            Attribute("balance", DECIMAL, "What is left of its money."),
            Attribute("lines_used", INT, "The lines in use now."),
        ),
        ENTRY_KINDS,
        "The account of the call.",
    ),
    ObjectType(
        "trunk",
        TRUNK,
        by_name(
            Attribute("id", STRING, 'Its name; "" if no trunk was identified.'),
            Attribute("lines", INT, "The lines it may use; -1 is unlimited."),
            Attribute("lines_used", INT, "The lines in use now."),
        ),
        _MESSAGE,
        "The trunk the call came from.",
    ),
    ObjectType(
        "phone",
        PHONE,
        by_name(
            Attribute("id", STRING, 'Its number; "" if no phone was identified.'),
            Attribute("lines", INT, "The lines it may use; -1 is unlimited."),
            Attribute("lines_used", INT, "The lines in use now."),
        ),
        _MESSAGE,
        "The phone the call came from.",
    ),
    ObjectType(
        "gateway",
        GATEWAY,
        by_name(
            Attribute("id", STRING, "Its name."),
            Attribute("lines", INT, "The lines it may use; -1 is unlimited."),
            Attribute("priority", INT, "Its priority number."),
            Attribute("lines_used", INT, "The lines in use now."),
        ),
        frozenset({BRANCH, REPLY, FAILURE, END, EVENT}),
        "The gateway of the attempt.",
    ),
)


def _words(*names: str) -> dict[str, object]:
    return {name: name for name in names}


ENUMERATIONS = {
    END_REASON: Enumeration("end reason", END_REASON, _words(*EndReason.__members__), "end reason"),
    LOG_LEVEL: Enumeration(
        "log level", LOG_LEVEL, _words("debug", "info", "warning", "error"), "log level"
    ),
    RING: Enumeration("ring", RING, _words("hunt", "all", "random"), "way to ring"),
    CODEC: Enumeration("codec", CODEC, _words(*CODECS), "codec"),
}

PYTHON = PythonSide(
    {Milliseconds: DURATION, **{made: type_ for type_, made in CLASSES_OF_OBJECTS.items()}},
    Call,
    wrap_hook,
)

SURFACE = Surface(
    settings=by_name(*GLOBAL),
    blocks=BLOCKS,
    functions=by_name(*FUNCTIONS),
    facts=FACTS,
    objects=by_name(*OBJECTS),
    enumerations=ENUMERATIONS,
    python=PYTHON,
    tables=(TABLES, LISTS),
    additions=Additions("state", "state", OBJECTS_FILE),
)
