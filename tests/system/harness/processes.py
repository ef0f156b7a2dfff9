"""The router's processes as the kernel sees them: who is a child of whom, memory, descriptors."""

from __future__ import annotations

import os
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`, oldest first."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append((int(fields[19]), int(path.name)))
    return [child for _, child in sorted(found)]


def alive(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def memory_kib(pid: int) -> tuple[int, int]:
    """Proportional memory of one process, and what of it is its own and no file's, in KiB.

    The difference is mapped files: program text, and the pages of LMDB that are in use.
    """
    found = {"Pss": 0, "Pss_Anon": 0}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name = line.partition(":")[0]
            if name in found:
                found[name] = int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found["Pss"], found["Pss_Anon"]


def cpu_seconds(pid: int) -> float:
    """User and system time of one process and of its dead children; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
