"""The `trunkline` program: finds the command, loads only that one, passes its exit code on."""

from __future__ import annotations

import io
import os
import sys
from typing import Final, NamedTuple

from cyclopts import App

INTERRUPTED: Final = 130
"""The exit code shells give a program that Ctrl-C ended."""


class Command(NamedTuple):
    """A command, where it is, and its line of `trunkline --help`.

    The line stands here so that help can be shown without loading any command.
    """

    name: str
    path: str
    help: str


COMMANDS: Final = (
    Command("run", "router.cli.run:run", "Start the router and stay in the foreground."),
    Command("check", "router.cli.check:check", "Check routes.cfg and show everything found."),
    Command("fmt", "router.cli.fmt:fmt", "Bring routes.cfg into its one layout."),
    Command("test", "router.cli.test:test", "Try the test blocks of routes.cfg."),
    Command("compile", "router.cli.compile:compile_routes", "Show the Python made of routes.cfg."),
    Command("route", "router.cli.route:route", "Decide a call without making it, and say why."),
    Command("reload", "router.cli.reload:reload", "Let the running router take routes.cfg anew."),
    Command("status", "router.cli.status:status", "Show workers, calls and gateways now."),
    Command("top", "router.cli.top:top", "Watch calls, gateways and failures as they happen."),
    Command("explain", "router.cli.explain:explain", "Tell the story of one call, and what to do."),
    Command("capture", "router.cli.capture:app", "Keep SIP messages of calls, for Wireshark."),
    Command("calls", "router.cli.calls:app", "Show the calls in progress, and end one."),
    Command("gateways", "router.cli.gateways:app", "Show gateways, and change them."),
    Command("trunks", "router.cli.trunks:app", "Show the trunks of accounts, and change them."),
    Command("audit", "router.cli.audit:audit", "Show who changed what by command."),
    Command("cdr", "router.cli.cdr:app", "Show and search call detail records."),
    Command("phones", "router.cli.phones:app", "Show which phones are online; change phones."),
    Command("blocks", "router.cli.blocks:app", "Show and lift blocks of guessing addresses."),
    Command("rates", "router.cli.rates:app", "Show what the decks of routes.cfg say."),
    Command("load", "router.cli.load:app", "Load rates into a deck, while calls go on."),
    Command("accounts", "router.cli.accounts:app", "Show accounts and their money, top them up."),
    Command("ledger", "router.cli.ledger:app", "Show the accounts' book, prove that it is right."),
    Command("call", "router.cli.call:call", "Place a test call through the running router."),
    Command("tokens", "router.cli.tokens:app", "Make and remove tokens of the HTTP API."),
    Command("lsp", "router.cli.lsp.command:lsp", "Serve an editor; it starts this by itself."),
    Command("demo", "router.cli.demo:demo", "Place a dozen calls through a router of its own."),
)


def _version() -> str:
    # Loaded here: it takes a quarter of the time in which a command is found.
    from importlib.metadata import version

    return version("trunkline")


def make_app() -> App:
    """The program with all its commands, none of them loaded yet."""
    app = App(
        name="trunkline",
        help="Trunkline, a config-driven SIP softswitch: its policy is routes.cfg. "
        "New here? Try trunkline demo.",
        version=_version,
        # One place decides what Ctrl-C means, also while a command is still being loaded.
        suppress_keyboard_interrupt=False,
    )
    for command in COMMANDS:
        app.command(command.path, name=command.name, help=command.help)
    return app


def main() -> int:
    """Run the command line; the exit code, also where the command ends by SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows no "…" or "─" gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        try:
            make_app()(sys.argv[1:])
        finally:
            # Here and not when the interpreter ends, where a broken pipe could not be caught.
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
