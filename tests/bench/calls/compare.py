#!/usr/bin/env python3
"""CPU per completed call: Trunkline next to another server, in turns, by one measuring program.

    compare.py --peers FOLDER [--rounds 5] [--cps 500] [--calls 4000] [--against kamailio-native]
    compare.py --peers FOLDER --kind register [--cps 1000]     REGISTERs: 401, then 200

The measuring program is `bench.py` in FOLDER (or the environment variable PEERS): it starts a
server, plays calls with SIPp at both ends, and prints one JSON line. Identical runs differ by 15 %
on a shared machine, so the runs alternate and medians are compared. Exit 1 when Trunkline's median
is above the other server's own part plus its database, or when any call failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[2]
FIGURES = (
    "cpu_us_per_call",
    "cpu_us_per_call_net",
    "user_us",
    "sys_us",
    "store_us_per_call",
    "answer_ms_mean",
    "pss_mb",
    "retrans",
    "failed",
)


DEFAULTS = {
    "call": ("kamailio-native", 500, 4000),
    "register": ("reg-authdb-writeback", 1000, 8000),
}
REGISTRAR = """\
listen  = udp:127.0.0.1:5060
workers = 1
metrics = 127.0.0.1:9464
realm   = "127.0.0.1"
account phones {{
{phones}
}}
request_route {{
    switch ($rm) {{
        case "OPTIONS": reply(200);
        case "REGISTER": {{
            if (!authenticate()) challenge();
            save();
        }}
        default: reply(405);
    }}
}}
"""
"""The job of the comparison's registrars: digest, several hundred users, bindings that last."""

PORTS = (5060, 5070, 5091, 5092)
"""The measuring program's own, fixed: two measurements at once would measure nothing."""
WAIT_FOR_PORTS_S = 180


def wait_for_ports() -> None:
    """Returns when nobody has the ports; SystemExit when somebody keeps them."""
    end = time.monotonic() + WAIT_FOR_PORTS_S
    while True:
        rows = Path("/proc/net/udp").read_text().splitlines()[1:]
        taken = {int(row.split()[1].rpartition(":")[2], 16) for row in rows} & set(PORTS)
        if not taken:
            return
        if time.monotonic() > end:
            raise SystemExit(f"UDP ports in use by another program: {sorted(taken)}")
        time.sleep(1)


def measure(bench: Path, options: argparse.Namespace, *server: str) -> dict[str, Any]:
    """One run; SystemExit with the program's words when it could not be measured."""
    wait_for_ports()
    command = [sys.executable, str(bench), "--cps", str(options.cps), "--calls", str(options.calls)]
    done = subprocess.run(
        [*command, *server], capture_output=True, text=True, timeout=600, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines or "error" in (result := json.loads(lines[-1])):
        raise SystemExit(f"{' '.join(server)}: {done.stdout}{done.stderr}")
    if not result["ok"]:
        raise SystemExit(f"{' '.join(server)}: no call succeeded: is another server on its ports?")
    return result


def trunkline(bench: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One run of Trunkline, on a state folder of its own."""
    with tempfile.TemporaryDirectory(prefix="trunkline-compare-") as state:
        routes = HERE / "routes.cfg"
        if options.kind == "register":
            routes = Path(state) / "register.cfg"
            routes.write_text(REGISTRAR.format(phones=phones(options.users)))
        command = [str(PROJECT / ".venv/bin/trunkline"), "run", str(routes)]
        command += ["--workers", str(options.workers), "--state", f"{state}/state"]
        return measure(
            bench, options, "--name", "trunkline", "--cmd", shlex.join(command), "--port", "5060",
            "--kind", options.kind,
        )  # fmt: skip


def phones(users: Path) -> str:
    """The users of the measuring program, `name;[authentication username=… password=…]`."""
    found = re.findall(r"username=(\S+) password=(\S+)\]", users.read_text())
    if not found:
        raise SystemExit(f"{users} has no users: --users names the measuring program's users.csv")
    return "\n".join(f'    phone {name} {{ password = "{word}" }}' for name, word in found)


def whole(run: dict[str, Any]) -> float:
    """A server's CPU per call with that of its database, microseconds."""
    return run["cpu_us_per_call"] + run["store_us_per_call"]


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The median of every figure, and of the server and its database together."""
    found = {name: statistics.median(run[name] for run in runs) for name in FIGURES}
    found["whole_us_per_call"] = statistics.median(map(whole, runs))
    return found


def main() -> int:
    """Measures in turns, prints a table and one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=os.environ.get("PEERS"))
    parser.add_argument("--kind", choices=("call", "register"), default="call")
    parser.add_argument("--against", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cps", type=int, default=0)
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument(
        "--users", type=Path, default=Path(tempfile.gettempdir()) / "peers/data/users.csv"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the JSON object to this file as well")
    options = parser.parse_args()
    if options.peers is None or not (Path(options.peers) / "bench.py").exists():
        parser.error("--peers FOLDER (or PEERS in the environment) must hold bench.py")
    against, cps, calls = DEFAULTS[options.kind]
    options.against = options.against or against
    options.cps = options.cps or cps
    options.calls = options.calls or calls
    bench = Path(options.peers) / "bench.py"
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    for number in range(options.rounds):
        theirs.append(measure(bench, options, "--server", options.against))
        ours.append(trunkline(bench, options))
        print(
            f"round {number + 1}: {options.against} {theirs[-1]['cpu_us_per_call']:.0f}"
            f" + {theirs[-1]['store_us_per_call']:.0f} us, trunkline {whole(ours[-1]):.0f} us",
            file=sys.stderr,
            flush=True,
        )
    them, us = medians(theirs), medians(ours)
    result = {
        "cps": options.cps,
        "calls": options.calls,
        "rounds": options.rounds,
        options.against: them,
        "trunkline": us,
        "ratio_to_whole": round(us["whole_us_per_call"] / them["whole_us_per_call"], 3),
        "ratio_to_server_alone": round(us["whole_us_per_call"] / them["cpu_us_per_call"], 3),
        "runs": {options.against: theirs, "trunkline": ours},
    }
    print(f"{'median of ' + str(options.rounds):24}{options.against:>18}{'trunkline':>12}")
    for name in ("whole_us_per_call", *FIGURES):
        print(f"{name:24}{them[name]:18.1f}{us[name]:12.1f}")
    print(f"ratio to server and database {result['ratio_to_whole']}")
    print(f"ratio to server alone        {result['ratio_to_server_alone']}")
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    failed = sum(run["failed"] for run in ours)
    if failed:
        print(f"{failed} calls through Trunkline failed", file=sys.stderr)
    return 1 if failed or result["ratio_to_whole"] > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
