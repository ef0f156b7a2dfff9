"""`trunkline run`: checks the configuration, opens the sockets, starts and supervises everything.

What keeps it from starting is said in one line (a configuration's mistakes in as many as it has)
and nothing is started then: exit 1.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from socket import socket as Socket
from typing import Annotated, Literal

import structlog
from cyclopts import Parameter

from dsl.findings import ConfigError, render_finding
from dsl.program import Program
from dsl.sources import SourceError
from router.admin.api_tls import TlsError, TlsFiles
from router.admin.metrics_process import run_metrics
from router.core.flow import Listener
from router.core.steering import BUCKETS
from router.routing.config import Config, build_config
from router.routing.surface import OBJECTS_FILE
from router.runtime.child import FINISH, CannotBoot, Life, set_process_name
from router.runtime.logs import configure_logs, structlog_emitter
from router.runtime.posts import Limits, Post
from router.runtime.reload import Reloader
from router.runtime.reload_check import Checker
from router.runtime.reload_control import Control
from router.runtime.reload_memory import Deployment
from router.runtime.reload_report import APPLIED, Answer, Checked
from router.runtime.routes_file import load_routes
from router.runtime.run_record import RunRecord, make_run_record, write_run_record
from router.runtime.service import (
    METRICS_DIR,
    METRICS_STAGE,
    available_cores,
    file_plan,
    ledger_post,
    state_preparation,
    worker_posts,
)
from router.runtime.sockets import (
    ListenError,
    Sockets,
    allow_many_descriptors,
    open_sockets,
    open_tcp_listener,
)
from router.runtime.supervisor import Supervisor
from router.store.boot import check_writable
from router.store.errors import StoreError

TRANSPORTS = ("udp", "tcp")
DEFAULT_SIP_PORT = 5060


class CannotRun(Exception):
    """Why nothing was started; the text is what the user sees."""


def run(
    routes: Path = Path("routes.cfg"),
    *,
    listen: Annotated[list[str] | None, Parameter(negative="")] = None,
    state: Path | None = None,
    workers: int | None = None,
    metrics: str | None = None,
    steering: bool = True,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    log_format: Literal["auto", "json", "text"] = "auto",
) -> None:
    """Start the router and stay in the foreground until it is stopped.

    SIGTERM or Ctrl-C stops it: no new calls, running ones may go on for `shutdown_timeout`; the
    same again ends them at once.

    Args:
        routes: The configuration.
        listen: Address to listen on, such as udp:127.0.0.1:5060; may be repeated; instead of the
            configuration's.
        state: Folder of live state and ledger, instead of the configuration's.
        workers: Number of worker processes, instead of the configuration's; 0 for one per core.
        metrics: HOST:PORT of /metrics, instead of the configuration's.
        steering: Let the kernel give every datagram to the worker that owns its call.
        log_level: The least severe log lines to write.
        log_format: JSON lines, text for people, or text on a terminal and JSON elsewhere.
    """
    logs = configure_logs(log_level, form=log_format)
    set_process_name("trunkline")
    try:
        supervisor = _prepare(routes, listen or [], state, workers, metrics, steering)
    except CannotRun as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    # What exists now is never garbage, and a collector that touched it would copy it in each child.
    gc.collect()
    gc.freeze()
    code = supervisor.run()
    logs.close()
    sys.exit(code)


def _prepare(
    routes: Path,
    listen: Sequence[str],
    state: Path | None,
    workers: int | None,
    metrics: str | None,
    steering: bool,
) -> Supervisor:
    """Everything up to the first fork; raises CannotRun."""
    program = _load(routes, state)
    config = build_config(program)
    if listen:
        config.listeners = [parse_listener(text) for text in listen]
    if state is not None:
        config.state = state
    if workers is not None:
        config.workers = workers
    if metrics is not None:
        config.metrics = parse_host_port(metrics)
    slots = config.workers or min(available_cores(), BUCKETS)
    if not 1 <= slots <= BUCKETS:
        raise CannotRun(f"workers: {slots} is not a number from 1 to {BUCKETS} (0: one per core)")
    tls = _api_tls(config)
    allow_many_descriptors()
    try:
        sockets = open_sockets(config.listeners, slots)
        metrics_socket = (
            open_tcp_listener(*config.metrics, "metrics") if config.metrics is not None else None
        )
        api_socket = open_tcp_listener(*config.api, "api") if config.api is not None else None
        check_writable(config.state)
    except (ListenError, StoreError) as error:
        raise CannotRun(str(error)) from error
    config.listeners = sockets.listeners  # as they came out: a port for 0, ours for a wildcard
    if steering and slots > 1:
        _steer(sockets)
    deployment = Deployment()
    posts = [
        *worker_posts(program, config, sockets, deployment),
        ledger_post(config.state, file_plan(config), config.log_calls),
    ]
    if metrics_socket is not None:
        config.metrics = metrics_socket.getsockname()[:2]
        posts.append(_metrics_post(config, slots, metrics_socket))
    if api_socket is not None:
        config.api = api_socket.getsockname()[:2]
        posts.append(_api_post(routes, config, api_socket, tls))
    record = make_run_record(
        pid=os.getpid(),
        started_ms=_epoch_ms(),
        config_hash=config.hash,
        slots=slots,
        gateways=_gateways(config),
        accounts=[(account.name, account.lines) for account in config.accounts.values()],
        metrics=_shown(*config.metrics) if config.metrics is not None else "",
    )
    return Supervisor(
        posts,
        prepare=state_preparation(config.state),
        limits=Limits(shutdown_ms=config.shutdown_ms),
        on_started=_announcer(routes, config, sockets, record),
        reloader=Reloader(
            Checker(routes, program, config, deployment),
            Control(config.state),
            deployment,
            _settler(config.state, record),
        ),
    )


def _load(routes: Path, state: Path | None) -> Program:
    """The program of routes.cfg; CannotRun shows every finding that it has."""
    try:
        return load_routes(routes, None if state is None else state / OBJECTS_FILE)
    except SourceError as error:
        raise CannotRun(str(error)) from error
    except ConfigError as error:
        shown = [render_finding(finding, _text_of(finding.file)) for finding in error.findings]
        raise CannotRun("\n".join(shown)) from error


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:
        return ""


def parse_listener(text: str) -> Listener:
    """`udp:127.0.0.1:5060`, `tcp:[::1]:5060`; the transport may be missing, and the port."""
    transport, colon, rest = text.partition(":")
    if transport.lower() not in TRANSPORTS:
        transport, rest = "udp", text
    elif not colon:
        rest = ""
    host, port = _host_port(rest, DEFAULT_SIP_PORT)
    if not host:
        raise CannotRun(f"--listen {text}: not an address such as udp:127.0.0.1:5060")
    return Listener(transport.lower(), host, port)


def parse_host_port(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464`, `[::1]:9464`."""
    host, port = _host_port(text, -1)
    if not host or port < 0:
        raise CannotRun(f"--metrics {text}: not an address such as 127.0.0.1:9464")
    return host, port


def _host_port(text: str, default_port: int) -> tuple[str, int]:
    """("", -1) for what is no address."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return "", -1
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    if not port and not text.endswith(":"):
        return host, default_port
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        return "", -1
    return host, int(port)


def _steer(sockets: Sockets) -> None:
    log = structlog.get_logger(process="supervisor")
    sockets.steer()
    if sockets.steering_fault:
        log.warning(
            "the kernel does not steer by Call-ID: workers hand messages to each other",
            reason=sockets.steering_fault,
        )
    elif sockets.steers_short:
        log.warning(
            "the kernel looks for the Call-ID only near the start of a message: "
            "sysctl net.core.optmem_max=131072 lets it look further",
            bytes=sockets.steered_bytes,
        )


def _metrics_post(config: Config, slots: int, opened: Socket) -> Post:
    assert config.metrics is not None
    host, port = config.metrics

    def serve(life: Life) -> int:
        emit = structlog_emitter(process="metrics")

        def log(level: str, event: str, /, **fields: object) -> None:
            emit(level, event, fields)

        return run_metrics(
            host=host,
            port=port,
            directory=config.state / METRICS_DIR,
            state=config.state,
            gateways=_gateways(config),
            config_hash=config.hash,
            slots=slots,
            ports=[one.port for one in config.listeners if one.transport == "udp"],
            socket=opened,
            log=log,
            stopping=lambda: life.order >= FINISH,
        )

    return Post("metrics", "tl-metrics", serve, METRICS_STAGE, beats=False)


def _api_tls(config: Config) -> TlsFiles | None:
    """The API's certificate, if it has one; CannotRun when there can be no API."""
    if config.api is None:
        return None
    if find_spec("litestar") is None or find_spec("uvicorn") is None:
        raise CannotRun("the API needs more of Python: pip install trunkline[admin]")
    if config.api_tls is None:
        return None
    try:
        return TlsFiles(*config.api_tls)
    except TlsError as error:
        raise CannotRun(str(error)) from None


def _api_post(routes: Path, config: Config, opened: Socket, tls: TlsFiles | None) -> Post:
    def serve(life: Life) -> int:
        # Loaded here: no other process needs it, and nobody who has no API.
        from router.admin.api_process import run_api

        emit = structlog_emitter(process="api")

        def log(level: str, event: str, /, **fields: object) -> None:
            emit(level, event, fields)

        try:
            return run_api(
                socket=opened, config=routes.absolute(), state=config.state.absolute(), log=log,
                on_stop=life.on_order, metrics=(config.state / METRICS_DIR).absolute(), tls=tls,
            )
        except StoreError as error:
            raise CannotBoot(str(error)) from error

    return Post("api", "tl-api", serve, METRICS_STAGE, beats=False)


def _gateways(config: Config) -> list[tuple[str, int]]:
    return [(gateway.name, gateway.lines) for gateway in config.gateways.values()]


def _announcer(
    routes: Path, config: Config, sockets: Sockets, record: RunRecord
) -> Callable[[], None]:
    """What is told once everything runs: to people on standard output, to commands in a file."""

    def announce() -> None:
        for line in _start_lines(routes, config, sockets, record.metrics):
            print(line)
        sys.stdout.flush()
        _keep(config.state, record)

    return announce


def _settler(state: Path, record: RunRecord) -> Callable[[Answer, Checked, dict[str, int]], None]:
    """What is written down of a reload: where status and metrics find it."""

    def settle(answer: Answer, checked: Checked, counts: dict[str, int]) -> None:
        record.reloads = dict(counts)
        if answer.result == APPLIED:
            record.config_hash = checked.config_hash
            record.gateways = checked.gateways
            record.accounts = checked.accounts
            record.reloaded_ms = _epoch_ms()
        _keep(state, record)

    return settle


def _keep(state: Path, record: RunRecord) -> None:
    try:
        write_run_record(state, record)
    except OSError as error:
        structlog.get_logger().warning("run record not written", reason=str(error))


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


def _start_lines(routes: Path, config: Config, sockets: Sockets, metrics: str) -> list[str]:
    listeners = ", ".join(
        f"{transport}:{_shown(host, port)}" for transport, host, port in sockets.listeners
    )
    slots = len(sockets.slots)
    if slots == 1:
        steering = ""
    elif sockets.steered_bytes:
        steering = ", each call's messages steered to its worker by the kernel"
    else:
        steering = ", which hand each other's messages over"
    return [
        f"Trunkline {version('trunkline')} is running (pid {os.getpid()})",
        f"  routes   {routes} ({config.hash})",
        f"  listens  {listeners}",
        f"  workers  {slots}{steering}",
        f"  state    {config.state.resolve()}",
        *([_api_line(config)] if config.api is not None else []),
        f"  metrics  {f'http://{metrics}/metrics' if metrics else 'off'}",
        "  Stop it with Ctrl-C or SIGTERM: running calls may go on for "
        f"{config.shutdown_ms / 1_000:g} s; the same again ends them at once.",
    ]


def _api_line(config: Config) -> str:
    assert config.api is not None
    scheme = "https" if config.api_tls is not None else "http"
    return f"  api      {scheme}://{_shown(*config.api)}"


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
