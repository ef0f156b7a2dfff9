"""baresip, a real phone without a screen: its account, what it dials, and what it says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.ports import LOOPBACK, free_port

MODULES = "/usr/lib/baresip/modules"
CONFIG = """
sip_listen {listen}
module_path {modules}
audio_source aubridge,x
audio_player aubridge,x
audio_alert aubridge,x
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
"""


def baresip_program() -> str:
    """The path of baresip; AssertionError with the remedy when it is not installed."""
    found = shutil.which("baresip")
    assert found, (
        "baresip is not installed: the system tests need it. "
        "`make test` installs it (Debian package baresip-core)."
    )
    return found


class Baresip:
    """A phone that registers, dials when it is told to, and ends after `seconds`."""

    def __init__(
        self, folder: Path, router: int, *, number: str = "1001", password: str = "secret",
        commands: tuple[str, ...] = (), seconds: int = 6, transport: str = "udp",
    ) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        listen = f"{LOOPBACK}:{self.port}"
        (folder / "config").write_text(CONFIG.format(listen=listen, modules=MODULES))
        (folder / "contacts").write_text("")
        (folder / "accounts").write_text(
            f"<sip:{number}@{LOOPBACK}:{router};transport={transport}>;auth_user={number};"
            f"auth_pass={password};regint=600;audio_codecs=PCMA\n"
        )
        argv = [baresip_program(), "-f", str(folder), "-t", str(seconds)]
        for command in commands:
            argv += ["-e", command]
        self.log = folder / "baresip.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
                start_new_session=True,
            )

    def wait(self) -> str:
        """What it said, once it has ended."""
        self.process.wait(30)
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
