"""Memory files: what a child process has made, for the workers and for the supervisor.

The supervisor keeps the descriptor, hands it to its workers and leaves it to those it forks: no
disk can be full, and nobody else can change what is in it.
"""

from __future__ import annotations

import os


def new_memory(name: str) -> int:
    """The descriptor of an empty memory file; OSError when the machine has none left."""
    return os.memfd_create(f"trunkline-{name}", os.MFD_CLOEXEC)


def write_memory(descriptor: int, data: bytes) -> None:
    """Put the data into an empty memory file."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_memory(descriptor: int) -> bytes:
    """All that is in a memory file, wherever others read in it."""
    size = os.fstat(descriptor).st_size
    parts = []
    at = 0
    while at < size:
        parts.append(os.pread(descriptor, size - at, at))
        if not parts[-1]:
            break
        at += len(parts[-1])
    return b"".join(parts)


class Deployment:
    """What a worker that is born runs: the image of the last reload, if there was one."""

    def __init__(self) -> None:
        self._descriptor = -1

    def replace(self, descriptor: int) -> None:
        """From now on it is this image; the descriptor is the deployment's to close."""
        old, self._descriptor = self._descriptor, descriptor
        if old >= 0:
            os.close(old)

    def read(self) -> bytes | None:
        """The image, or None while no reload has replaced what was started."""
        return read_memory(self._descriptor) if self._descriptor >= 0 else None
