"""The router of `trunkline demo`: a configuration in a folder of its own, run as a child process.

It is `trunkline run` as everybody runs it. The folder holds routes.cfg, the state and the log.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from router.cli.demo_calls import GATEWAYS, PREFIX
from router.core.flow import Flow
from router.runtime.child import die_with
from router.runtime.run_record import read_run_record

HOST: Final = "127.0.0.1"
WORKERS: Final = 2
PATIENCE_S: Final = (0.3, 3.0)
"""After a first SIGTERM, which lets calls go on, and after a second, which ends them at once."""

LOG_LINES_SHOWN: Final = 30

ROUTES: Final = """\
# Made by `trunkline demo`: one account that calls from this machine, two gateways for one prefix.
listen  = udp:{host}:{port}
workers = {workers}
state   = "state"                    # the folder of live state and of the ledger

# Short, so that the demo is: how long a call may wait for its gateway.
invite_timeout   = 1s                # no answer at all: the next gateway is tried
trying_timeout   = 2s
ringing_timeout  = 2s                # it rings and nobody answers: the call ends
shutdown_timeout = 2s

{gateways}

account acme {{
    lines = 20
    trunk office {{ ips = {host} }}
}}

request_route {{
    switch ($rm) {{
        case "OPTIONS": reply(200);
        case "INVITE":  route(CALL);
        default:        reply(405);
    }}
}}

route[CALL] {{
    if (!identify()) end(IllegalCall);
    call(gateways($rU), on_failure = NEXT);
}}

failure_route[NEXT] {{
    if ($rs in [486, 600, 603]) end(UserBusy);
    next();                          # the next gateway, or the last one's end reason
}}
"""


class DemoRouter:
    """One router that lives as long as this object, at most as long as this process."""

    def __init__(self, folder: Path, gateway_ports: Sequence[int]) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.routes = folder / "routes.cfg"
        self.log_path = folder / "router.log"
        self.flow = Flow("udp", HOST, free_port(), 0)
        self._process: subprocess.Popen[bytes] | None = None
        self.routes.write_text(routes_text(self.flow.port, gateway_ports))

    def start(self) -> None:
        """Start the process; whether it is ready is to be asked."""
        demo = os.getpid()
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                # Ctrl-C is for the demo, which then stops the router.
                start_new_session=True,
                preexec_fn=lambda: die_with(demo),
            )

    def command(self) -> list[str]:
        """What is run: this interpreter's Trunkline, whatever the search path says."""
        return [sys.executable, "-m", "router.cli.main", "run", str(self.routes)]

    def ready(self) -> bool:
        """Whether all its processes have booted."""
        record = read_run_record(self.state)
        return record is not None and self._process is not None and record.pid == self._process.pid

    def ended(self) -> bool:
        """Whether it is not, or no longer, running."""
        return self._process is None or self._process.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs, below 0 for a signal."""
        return self._process.returncode if self._process is not None else None

    def how_it_ended(self) -> str:
        """The same in words."""
        code = self.exit_code
        return "it had to be killed" if code is None or code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Tell it to stop: no new calls, the last CDRs are stored."""
        if self._process is not None and not self.ended():
            self._process.send_signal(signal.SIGTERM)

    def clear_away(self) -> None:
        """Leave no process behind, whatever state it is in; takes a few seconds at most."""
        process = self._process
        if process is None:
            return
        for patience_s in PATIENCE_S:
            self.end()
            try:
                process.wait(patience_s)
                return
            except subprocess.TimeoutExpired:
                continue
        process.kill()  # its own processes die with it
        process.wait()

    def log(self) -> str:
        """The end of what it said."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        left_out = len(lines) - LOG_LINES_SHOWN
        if left_out > 0:
            lines[:left_out] = [f"... {left_out} lines before these"]
        return "\n".join(lines)


def routes_text(port: int, gateway_ports: Sequence[int]) -> str:
    """The routes.cfg of the demo."""
    gateways = "\n".join(
        f"gateway {name} {{ address = {HOST}:{gateway_port}  prefixes = {PREFIX}  "
        f"priority = {priority}  lines = 20 }}"
        for priority, (name, gateway_port) in enumerate(
            zip(GATEWAYS, gateway_ports, strict=True), 1
        )
    )
    return ROUTES.format(host=HOST, port=port, workers=WORKERS, gateways=gateways)


def free_port() -> int:
    """A UDP port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
