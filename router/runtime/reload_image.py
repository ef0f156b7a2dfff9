"""From an image to what a worker runs on: the program, and its configuration."""

from __future__ import annotations

import weakref

from dsl.image import Image
from dsl.program import Program
from router.routing.config import Config, build_config
from router.routing.surface import SURFACE

RESTART_SETTINGS = ("listen", "workers", "state", "metrics")
"""What is bound to sockets, processes and files that exist already."""


def open_image(raw: bytes, started: Config) -> tuple[Program, Config]:
    """The program of an image, and its configuration on the sockets and files of the one started.

    The program's code goes with the configuration: every context holds that, so nothing runs then.
    """
    program = Image.from_bytes(raw).load(SURFACE)
    config = build_config(program)
    config.listeners = started.listeners
    config.workers = started.workers
    config.state = started.state
    config.metrics = started.metrics
    # Handlers and their namespace refer to each other, and a worker's collector looks rarely.
    weakref.finalize(config, program.namespace.clear).atexit = False
    return program, config
