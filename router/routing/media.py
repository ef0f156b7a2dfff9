"""Which calls have their media relayed: by who calls and where the call goes.

Caller and callee each ask for pass, relay or transcode; the one that asks for more has its way.
What an account asks for holds for what is inside it unless that says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsl.program import Program
from router.core.media.relays import Place
from router.core.media.session import Wish
from router.routing.surface_media import DEFAULT_CODECS, LEVELS

DEFAULT_TIMEOUT_MS = 60_000
PASS, RELAY, TRANSCODE = range(len(LEVELS))
NOTHING: Mapping[str, Wish] = {}


class MediaRules:
    """The settings of media of a Program; objects are named by their keys."""

    def __init__(self, program: Program) -> None:
        settings = program.settings
        self.relays: Sequence[Place] = list(dict.fromkeys(
            (one.host, one.port) for one in settings.get("rtpengine", ())
        ))
        self._timeout_ms: int = settings.get("media_timeout", DEFAULT_TIMEOUT_MS)
        self._codecs: tuple[str, ...] = tuple(settings.get("codecs", DEFAULT_CODECS))
        gateways = program.blocks_of("gateway")
        self._gateways = {f"gateway:{one.name}": _level(one.settings) for one in gateways}
        self._codecs_of = {
            f"gateway:{one.name}": tuple(one.settings["codecs"])
            for one in gateways if "codecs" in one.settings
        }
        self._callers: dict[str, int] = {}
        for account in program.blocks_of("account"):
            outer = _level(account.settings)
            for inner in account.children:
                name = inner.name if inner.kind == "phone" else f"{account.name}/{inner.name}"
                level = _level(inner.settings) if "media" in inner.settings else outer
                if level:
                    self._callers[f"{inner.kind}:{name}"] = level
        self._to_gateways = {
            level: self._wishes(level, self._gateways) for level in range(len(LEVELS))
        }

    def to_gateways(self, caller: str) -> Mapping[str, Wish]:
        """What is asked for calls of this trunk or phone to each gateway that is relayed."""
        return self._to_gateways[self._callers.get(caller, PASS)]

    def to_phones(self, caller: str, phones: Iterable[str]) -> Mapping[str, Wish]:
        """The same for calls to phones."""
        callers = self._callers
        if not callers:
            return NOTHING
        return self._wishes(
            callers.get(caller, PASS), {phone: callers.get(phone, PASS) for phone in phones}
        )

    def try_only(self) -> None:
        """From here on calls are only tried: no relay is asked."""
        self.relays = []
        self._callers = {}
        self._to_gateways = dict.fromkeys(self._to_gateways, NOTHING)

    def _wishes(self, caller: int, callees: Mapping[str, int]) -> Mapping[str, Wish]:
        found = {}
        for key, level in callees.items():
            level = max(level, caller)
            if level != PASS:
                codecs = self._codecs_of.get(key, self._codecs) if level == TRANSCODE else ()
                found[key] = Wish(codecs, self._timeout_ms)
        return found


def _level(settings: Mapping[str, Any]) -> int:
    return LEVELS.index(settings.get("media", LEVELS[PASS]))
