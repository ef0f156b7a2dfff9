"""What the Python files of a configuration import: the mark for functions, and the call they see.

    from router.routing.hooks import Call, route_function

    @route_function
    def is_vip(call: Call, number: str) -> bool: ...

docs/hooks.md is the guide to it. Only what stands in `__all__` is meant for those files; it stays
as it is from version to version.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterator, MutableMapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from dsl.imports import mark_route_function
from dsl.types import STRING
from router.core.headers import OWN
from router.core.states import ENDED
from router.routing.hook_errors import HookMisuse
from router.routing.hook_values import WrongValue, named, shown, take_value
from router.routing.objects import Account, Gateway, Phone, Trunk
from router.sip.head import canonical_key

if TYPE_CHECKING:
    from router.routing.context import Context

__all__ = [
    "Account",
    "Call",
    "Gateway",
    "HookMisuse",
    "IpAddress",
    "IpNetwork",
    "Milliseconds",
    "Phone",
    "Trunk",
    "route_function",
]

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network
Milliseconds = Annotated[int, "milliseconds"]
"""A duration of routes as the int that it is; `timedelta` is the other way to take one."""

_Function = TypeVar("_Function", bound=Any)
LEVELS = ("debug", "info", "warning", "error")
_KEPT = (str, int, bool, Decimal)


def route_function(function: _Function) -> _Function:
    """Let routes call this function, by the types of its annotations; it stays as it is."""
    return mark_route_function(function)


def _fact(name: str, doc: str) -> Any:
    """A fact that is read."""

    def read(call: Call) -> Any:
        return getattr(call._live(), name)

    return property(read, doc=doc)


def _number(name: str, doc: str) -> Any:
    """A fact that can be set as well, in the routes in which a route may set it."""

    def read(call: Call) -> Any:
        return getattr(call._live(), name)

    def write(call: Call, value: str) -> None:
        context = call._live()
        if context.response is not None or _has_ended(context):
            raise HookMisuse(
                f"call.{name} can be set in request_route, branch_route and failure_route only"
            )
        setattr(context, name, _text(value, f"call.{name}"))

    return property(read, write, doc=doc)


class Call:
    """The request that a route is working on, and its call, as Python functions see it.

    A route hands it to functions whose first parameter has it as annotation. It is of use until
    that route ends, and in the thread of the worker only; anything else raises HookMisuse. For a
    request that is no INVITE what belongs to a call is empty.
    """

    __slots__ = ("_context", "_thread", "_variables")

    def __init__(self, context: Context) -> None:
        self._context: Context | None = context
        self._thread = get_ident()
        self._variables = Variables(self)

    # -- facts, by the readable names of routes ---------------------------------------------------

    method: str = _fact("method", "The method of the request.")
    uri: str = _fact("uri", "The request URI.")
    callee: str = _number("callee", "The called number; what is set here is sent on.")
    uri_domain: str = _number("uri_domain", "The domain of the request URI; can be set.")
    from_uri: str = _fact("from_uri", "The URI of From.")
    caller: str = _number("caller", "The caller's number; what is set here is sent on.")
    from_domain: str = _fact("from_domain", "The domain of From.")
    display_name: str = _number("display_name", "The display name of From; can be set.")
    to_uri: str = _fact("to_uri", "The URI of To.")
    to_user: str = _fact("to_user", "The user part of To.")
    to_domain: str = _fact("to_domain", "The domain of To.")
    source_ip: IPv4Address | IPv6Address = _fact("source_ip", "Where the request came from.")
    source_port: int = _fact("source_port", "The port the request came from.")
    local_ip: IPv4Address | IPv6Address = _fact("local_ip", "Our address at which it came in.")
    local_port: int = _fact("local_port", "Our port at which it came in.")
    transport: str = _fact("transport", '"udp", "tcp" or "tls".')
    user_agent: str = _fact("user_agent", "The header User-Agent.")
    call_id: str = _fact("call_id", "The Call-ID.")
    cseq: int = _fact("cseq", "The number of CSeq.")
    reply_code: int = _fact("reply_code", "The status of the response; 0 without one.")
    reply_reason: str = _fact("reply_reason", "The reason phrase of the response.")
    body: str = _fact("body", "The body of the message.")
    contact: str = _fact("contact", "The header Contact.")
    max_forwards: int = _fact("max_forwards", "Max-Forwards; 70 if there is none.")

    account: Account = _fact("account", "Who pays; its id is empty before identify() found one.")
    trunk: Trunk = _fact("trunk", "Where the call came from; its id is empty if it is unknown.")
    phone: Phone = _fact("phone", "The phone the call came from; its id is empty if it is none.")
    gateway: Gateway = _fact("gateway", "The gateway of the attempt; its id is empty without one.")

    @property
    def id(self) -> str:
        """The call's id, as in CDRs and logs; empty if the request is no INVITE."""
        call = self._live().call
        return call.id if call is not None else ""

    @property
    def is_test(self) -> bool:
        """Whether this is only tried, by a test block or `trunkline route`.

        Test blocks also run before every reload: what a function changes in the world is better
        left alone then.
        """
        return self._live().config.is_test

    @property
    def variables(self) -> MutableMapping[str, Any]:
        """The variables of the call: `call.variables["tier"]` is `$call.tier` in routes.

        What routes declare keeps its type; others take str, int, bool and Decimal. All of them
        are written to the CDR.
        """
        self._live()
        return self._variables

    # -- headers and log --------------------------------------------------------------------------

    def header(self, name: str) -> str:
        """The value of the first header of this name, "" when there is none."""
        return self._live().header(name)

    def set_header(self, name: str, value: str) -> None:
        """One header of this name with this value in what is sent on."""
        self._sent_on().set_header(_header(name), _text(value, "the value of a header"))

    def add_header(self, name: str, value: str) -> None:
        """One more header in what is sent on."""
        self._sent_on().add_header(_header(name), _text(value, "the value of a header"))

    def remove_header(self, name: str) -> None:
        """No header of this name in what is sent on."""
        self._sent_on().remove_header(_header(name))

    def log(self, level: str, text: str) -> None:
        """A line in the log with the call's id; `level` is debug, info, warning or error."""
        if level not in LEVELS:
            raise HookMisuse(f"there is no log level {shown(level)}: it is {', '.join(LEVELS)}")
        self._live().log(level, str(text))

    # -- what guards it ---------------------------------------------------------------------------

    def _live(self) -> Context:
        context = self._context
        if context is None:
            raise HookMisuse(
                "this Call is over: a function may use it until the route ends that called it"
            )
        if get_ident() != self._thread:
            raise HookMisuse(
                "a Call may not be used in another thread: read what is needed before, set it after"
            )
        return context

    def _sent_on(self) -> Context:
        context = self._live()
        if _has_ended(context):
            raise HookMisuse("the call has ended: nothing is sent on any more")
        return context

    def _close(self) -> None:
        self._context = None


class Variables(MutableMapping[str, Any]):
    """The variables of a call, with the types that routes declare for them."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __getitem__(self, name: str) -> Any:
        return self._call._live().variables[name]

    def __setitem__(self, name: str, value: Any) -> None:
        context = self._call._live()
        if not isinstance(name, str) or not name.isidentifier():
            raise HookMisuse(f"a variable of the call has a name, and not {shown(name)}")
        type_ = context.config.variables.get(name)
        if type_ is not None:
            try:
                value = take_value(value, type_)
            except WrongValue:
                raise HookMisuse(
                    f"$call.{name} is {named(type_)} in routes, and this is {shown(value)}"
                ) from None
        elif not isinstance(value, _KEPT):
            raise HookMisuse(f"$call.{name} cannot be {shown(value)}: a CDR has no place for it")
        context.variables[name] = value

    def __delitem__(self, name: str) -> None:
        del self._call._live().variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._call._live().variables))

    def __len__(self) -> int:
        return len(self._call._live().variables)


def _has_ended(context: Context) -> bool:
    return context.call is not None and context.call.state == ENDED


def _text(value: Any, what: str) -> str:
    try:
        text: str = take_value(value, STRING)
    except WrongValue:
        raise HookMisuse(f"{what} is a str, and this is {shown(value)}") from None
    return text


def _header(name: Any) -> str:
    text = _text(name, "the name of a header")
    if not text or not all(char.isalnum() or char in "-.!%*_+`'~" for char in text):
        raise HookMisuse(f"a header cannot be named {shown(text)}")
    if canonical_key(text) in OWN:
        raise HookMisuse(f"the header {shown(text)} is written by the router itself")
    return text
