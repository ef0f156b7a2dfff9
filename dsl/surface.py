"""The shape of the one table that says what a configuration may contain.

The table itself is router/routing/surface.py. It feeds the checker, the generator, the reference
and the editor, so that these cannot drift apart. Entries with `ready=False` are part of the
language that this version cannot carry out yet: they are checked in full, and then refused in one
sentence.

How generated code reaches what the table names, `c` being the context that routing hands in:

    function   target str            c.<target>(positional …, keyword=…)
               with labels           c.<target>(positional …, (label names), label values …)
               target callable       <name>(…), the callable put into the module under its name
    fact       $rU, $callee          c.callee                read
               $rU = "86" + $rU;     c.callee = …            assigned, where `assignable` allows it
    object     $account.id           c.account.id
    header     $hdr(User-Agent)      c.header("User-Agent")
    variable   $call.tier            c.variables["tier"]     read and assigned
    gateway    cn_mobile             c.gateway_named("cn_mobile")
    word       warning, IllegalCall  its value in the table, a str
    Python     hooks.is_vip($fU)     hooks.is_vip(c, c.caller), awaited if it is an `async def`
    turns      of loops, calls of routes: c.step(), which raises when there are too many
    way        if (…) reply(403);    c.at("CALL:61")         the branches taken, the routes called
                                                             and what ends the route, by line

Arguments that were not written are not passed, so that the target's own defaults hold; they have
to be those of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from dsl.types import STRING, Type

if TYPE_CHECKING:
    from dsl.program import Block
    from dsl.signatures import Hook


class Required:
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()

REQUEST = "request_route"
DIALOG = "dialog_route"
NAMED = "route"
BRANCH = "branch_route"
REPLY = "reply_route"
FAILURE = "failure_route"
END = "end_route"
EVENT = "event_route"

ROUTE_KINDS = (REQUEST, DIALOG, NAMED, BRANCH, REPLY, FAILURE, END, EVENT)
ENTRY_KINDS = frozenset(ROUTE_KINDS) - {NAMED}
"""The kinds that the core runs by itself; a named route runs inside one of these."""
UNNAMED_KINDS = frozenset({REQUEST, DIALOG, END})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter; `types` are the alternatives that it takes."""

    name: str
    types: tuple[Type, ...]
    default: object = REQUIRED
    keyword_only: bool = False
    minimum: int | None = None
    maximum: int | None = None
    """bounds that an int written out is held against"""
    ready: bool = True
    reads: str = ""
    """the kind of value (see ValueType) that a string written out has to be"""
    choices: tuple[str, ...] = ()
    """what goes with `reads`"""
    refers: str = ""
    """the kind of block that a string written out has to name"""
    many: bool = False
    """whether it, the last one, may be given several times"""

    @property
    def required(self) -> bool:
        """Whether a call has to give it."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Function:
    """A function or action of routes.

    `kinds` are the entry kinds in which it is legal. `terminal` says that it ends the route.
    `bare_kinds`, where given, narrows the kinds for a call without arguments (`end()`).
    """

    name: str
    parameters: tuple[Parameter, ...]
    returns: Type
    kinds: frozenset[str]
    target: str | Callable[..., Any]
    doc: str
    terminal: bool = False
    bare_kinds: frozenset[str] | None = None
    ready: bool = True
    labels: tuple[Type, ...] = ()
    """the types of further arguments of any name: labels of a metric"""


@dataclass(frozen=True, slots=True)
class Fact:
    """A `$` fact of the message or the call: Kamailio's name and ours.

    `assignable` are the kinds in which it can be set. `number` marks telephone numbers, whose
    regexes ought to be anchored.
    """

    name: str
    alias: str
    type: Type
    kinds: frozenset[str]
    doc: str
    assignable: frozenset[str] = frozenset()
    number: bool = False
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Attribute:
    """What `$account.id` names behind the dot."""

    name: str
    type: Type
    doc: str
    ready: bool = True


@dataclass(frozen=True, slots=True)
class ObjectType:
    """An object with attributes; `$<name>` is the one of the call in these kinds of route."""

    name: str
    type: Type
    attributes: Mapping[str, Attribute]
    kinds: frozenset[str]
    doc: str


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A closed list of bare words; a word's value is what the generated code passes on."""

    name: str
    type: Type
    values: Mapping[str, object]
    noun: str
    """how a message names one: "end reason", "log level" """


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a setting's value.

    `name` is one of: string, int, bool, decimal, amount (none below zero), duration, network,
    address (of a peer), listener (with its transport), endpoint (of ours, TCP), relay (of media),
    codes, code_pair, code_reason, prefix, rules, times, zone, uri, header, metric, lengths, date,
    word, reference, count, file_by_time (a file name with %Y, %m, %d, %H, %M in it, .csv or
    .jsonl). A `word` is one of `choices`, and so is the reason of a `code_reason`; a `reference` is
    the name of a block of the kind `refers`, and where that is set a `prefix` may be one too; a
    `count` is an int or one of `choices`; a `header` is the name of one, and none of `choices`.
    Where `many` is set the value is a list, written with commas.
    """

    name: str
    many: bool = False
    choices: tuple[str, ...] = ()
    refers: str = ""
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a block, or a global one.

    `aliases` are VOS3000's names of it. `default` is for the reference; routing merges defaults. It
    is about the route of `event`, where that is given, and does nothing without one.
    """

    name: str
    type: ValueType
    doc: str
    default: str = ""
    aliases: tuple[str, ...] = ()
    required: bool = False
    ready: bool = True
    event: str = ""
    unless: str = ""
    """another setting that makes up for one that is required"""
    apart: bool = False
    """whether each level's is asked by itself, and none takes the place of another's"""
    beside: str = ""
    """another setting of the same block, or another global one, that it cannot be without"""
    file: bool = False
    """whether a global one names a file that has to be there"""


@dataclass(frozen=True, slots=True)
class BlockSchema:
    """A kind of block: its settings and the kinds of block that stand inside it.

    `expression` is the type that the block's name has in an expression, if it has one there.
    `top` says whether the block stands at the top level.
    """

    kind: str
    settings: Mapping[str, Setting]
    doc: str
    children: tuple[str, ...] = ()
    top: bool = True
    expression: Type | None = None
    unused: bool = False
    """whether one that nothing refers to deserves a warning"""
    ready: bool = True
    unique: bool = False
    """whether a name stands once in the whole configuration, whatever block it is in"""


@dataclass(frozen=True, slots=True)
class PythonSide:
    """What the functions of imported Python files are given.

    `types` maps annotations to types of routes, besides those that Python has by itself. A first
    parameter with the annotation `call` is given the call. `wrap` makes of a function what
    generated code calls: `<alias>.<name>(c, arguments …)`, awaited if the hook waits.
    """

    types: Mapping[Any, Type]
    call: Any
    wrap: Callable[[Hook, Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class TableFault:
    """A fault of a data file; lines count from 1, `code` is that of the finding."""

    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning about blocks and data files together, at a setting of the block that it names."""

    kind: str
    name: str
    setting: str
    code: str
    message: str
    help: str


@dataclass(frozen=True, slots=True)
class TableSide:
    """What reads the data files that blocks name.

    `setting` of a block of the kind `kind` is the file. `read` makes of its bytes what the program
    is given under the block's name, or None and what is wrong with it. `compare` is given all
    blocks and what was read. `key` stands before the block's name among the tables of a program.
    """

    kind: str
    setting: str
    read: Callable[[bytes], tuple[Any, Sequence[TableFault]]]
    compare: Callable[[Sequence[Block], Mapping[str, Any]], Iterable[Remark]]
    key: str = ""


class Additions(NamedTuple):
    """Where commands keep the blocks that they add: a file in the folder that a setting names.

    It is read after all others when it is there. `folder` is the setting, `default` its value
    where it is not given.
    """

    folder: str
    default: str
    file: str


@dataclass(frozen=True)
class Surface:
    """Everything a configuration may contain."""

    settings: Mapping[str, Setting]
    blocks: Mapping[str, BlockSchema]
    functions: Mapping[str, Function]
    facts: tuple[Fact, ...]
    objects: Mapping[str, ObjectType]
    enumerations: Mapping[Type, Enumeration]
    ready_kinds: frozenset[str] = frozenset(ROUTE_KINDS)
    """the kinds of route that this version runs"""
    python: PythonSide | None = None
    """None: no Python file can be imported"""
    tables: tuple[TableSide, ...] = ()
    """the kinds of block that name data files"""
    additions: Additions | None = None
    """None: no command adds blocks"""
    by_dollar: Mapping[str, Fact] = field(init=False)
    """facts by Kamailio's name and by ours, without the `$`"""

    def __post_init__(self) -> None:
        names = {fact.name: fact for fact in self.facts}
        names.update((fact.alias, fact) for fact in self.facts)
        object.__setattr__(self, "by_dollar", names)


def parameter(
    name: str,
    *types: Type,
    default: object = REQUIRED,
    keyword_only: bool = False,
    minimum: int | None = None,
    maximum: int | None = None,
    ready: bool = True,
    reads: str = "",
    choices: tuple[str, ...] = (),
    refers: str = "",
    many: bool = False,
) -> Parameter:
    """A parameter that takes any of the types; a string if none is named."""
    return Parameter(
        name,
        types or (STRING,),
        default,
        keyword_only,
        minimum,
        maximum,
        ready,
        reads,
        choices,
        refers,
        many,
    )


def by_name(*entries: Any) -> dict[str, Any]:
    """Index entries of the table by their name."""
    return {entry.name: entry for entry in entries}
