"""A real rtpengine on ports of its own, without its kernel module; and streams of RTP."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from harness.ports import LOOPBACK, free_ports, udp_bound, wait_until

ROOT = Path(__file__).resolve().parents[3]
UNPACKED = ROOT / "build/rtpengine/usr/bin/rtpengine"
RELAY_HOST = "127.0.0.9"
"""Where its own media ports are, so that nobody else's can be taken for them."""
PACKET_S = 0.02
NTP_EPOCH_S = 2_208_988_800


class Rtpengine:
    """One process; `ng` is the port that it hears commands on."""

    def __init__(self, folder: Path, *, ng: int = 0, lowest: int = 42_000) -> None:
        program = shutil.which("rtpengine") or str(UNPACKED)
        assert Path(program).exists(), "rtpengine is missing: make test fetches it"
        folder.mkdir(parents=True)
        self.ng = ng or free_ports(1)[0]
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                program, "--config-file=none", "--foreground", "--log-stderr", "--table=-1",
                f"--interface={RELAY_HOST}", f"--listen-ng={LOOPBACK}:{self.ng}",
                f"--port-min={lowest}", f"--port-max={lowest + 999}", "--num-threads=2",
                f"--pidfile={folder / 'pid'}",
            ],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, cwd=folder,
        )
        wait_until(
            lambda: udp_bound(self.ng) or self.process.poll() is not None, "rtpengine", 20
        )
        assert self.process.poll() is None, (folder / "log").read_text()

    def stop(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._log.close()


class RtpPeer:
    """A port for RTP of one payload type, that sends when told and counts what it hears."""

    def __init__(self, payload: int = 8) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.settimeout(0.5)
        self.port: int = self.socket.getsockname()[1]
        self.payload = payload
        self.heard: list[bytes] = []
        self.sources: set[str] = set()
        self._target: tuple[str, int] | None = None
        self._reported = b"", 0.0
        self._packets = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def sdp(self) -> str:
        """A description of it with its one codec."""
        name = {0: "PCMU", 8: "PCMA"}[self.payload]
        return (
            f"v=0\r\no=hand 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
            f"m=audio {self.port} RTP/AVP {self.payload}\r\na=rtpmap:{self.payload} {name}/8000\r\n"
        )

    def talk(self, target: tuple[str, int]) -> None:
        """Sends 50 packets a second from now on, and listens."""
        self._target = target
        for run in (self._send, self._listen):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            self._threads.append(thread)

    def fall_silent(self) -> None:
        """Sends no more; listens until it is closed."""
        self._target = None

    def report(self, other: RtpPeer) -> None:
        """Sends an RTCP report on the stream of the other, as it would if it heard all of it.

        RFC 3550 §6.4.1: what the other has reported last is told, and how long ago that was; the
        relay sees the round trip by it.
        """
        assert self._target is not None
        now = time.time()
        seconds, fraction = int(now) + NTP_EPOCH_S, int(now % 1 * 2**32)
        last, at = other._reported
        since = int((now - at) * 65_536) if last else 0
        packet = struct.pack(
            "!BBHIIIIII", 0x81, 200, 12, self.port, seconds, fraction, self._packets * 160,
            self._packets, self._packets * 160,
        )
        packet += struct.pack("!IIII4sI", other.port, 0, other._packets, 3, last or bytes(4), since)
        self._reported = struct.pack("!II", seconds, fraction)[2:6], now
        host, port = self._target
        self.socket.sendto(packet, (host, port + 1))

    def close(self) -> None:
        """Ends it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self.socket.close()

    def _send(self) -> None:
        number = 0
        while not self._stop.wait(PACKET_S):
            target = self._target
            if target is None:
                return
            number = self._packets = number + 1
            head = bytes((0x80, self.payload)) + number.to_bytes(2, "big")
            head += (number * 160).to_bytes(4, "big") + self.port.to_bytes(4, "big")
            self.socket.sendto(head + b"\xd5" * 160, target)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                data, source = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            self.heard.append(data)
            self.sources.add(source[0])


def media_at(body: bytes) -> tuple[str, int]:
    """Where a description wants its audio."""
    text = body.decode("utf-8", "replace")
    host = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    assert host and port, text
    return host[1], int(port[1])
