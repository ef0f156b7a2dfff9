"""A Kamailio as the carrier behind a gateway: registrar and proxy with digest, all in memory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.ports import udp_bound, wait_until

CONFIG = Path(__file__).resolve().parent.parent / "kamailio" / "upstream.cfg"
PASSWORD = "s3cret"


def kamailio_program() -> str:
    """The path of Kamailio; AssertionError with the remedy when it is not installed."""
    found = shutil.which("kamailio") or shutil.which("/usr/sbin/kamailio")
    assert found, (
        "Kamailio is not installed: the tests of registration need it. "
        "`make test` installs it (Debian package kamailio)."
    )
    return found


class Kamailio:
    """One Kamailio on a port, which sends calls to `phone`; ended by its own process id."""

    def __init__(
        self, folder: Path, port: int, phone: int, *, expires: int = 600, min_expires: int = 0,
        algorithm: str = "MD5",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.folder = folder
        text = CONFIG.read_text()
        for name, value in {
            "MIN_EXPIRES": min_expires, "EXPIRES": expires, "PORT": port, "PHONE": phone,
            "PASSWORD": PASSWORD, "ALGORITHM": algorithm,
        }.items():
            text = text.replace(name, str(value))
        path = folder / "kamailio.cfg"
        path.write_text(text)
        self._log = (folder / "kamailio.log").open("w")
        argv = [kamailio_program(), "-f", str(path), "-DD", "-E", "-m", "16", "-M", "4"]
        argv += ["-w", str(folder), "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
        self.process = subprocess.Popen(
            argv, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
            cwd=folder, start_new_session=True,
        )
        wait_until(
            lambda: udp_bound(port) or self.process.poll() is not None, "Kamailio opens its port"
        )
        assert self.process.poll() is None, f"Kamailio did not start\n{self.log()}"

    def log(self) -> str:
        """The end of its log."""
        return (self.folder / "kamailio.log").read_text(errors="replace")[-6000:]

    def stop(self) -> None:
        """Ends it, and with it its children."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._log.close()
