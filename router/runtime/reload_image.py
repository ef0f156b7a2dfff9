"""What a check leaves: an image for the workers, and a portrait for the next reload."""

from __future__ import annotations

import pickle
import weakref

from dsl.image import Image
from dsl.program import Program
from router.routing.config import Config, build_config
from router.routing.surface import SURFACE
from router.runtime.reload_changes import Portrait

RESTART_SETTINGS = (
    *("listen", "workers", "state", "metrics", "cdr_file", "cdr_file_mb", "log_calls"),
    *("api", "api_tls_certificate", "api_tls_key"),
)
"""What is bound to sockets, processes and files that exist already."""


def pack_image(image: bytes, portrait: Portrait) -> bytes:
    """Both as one."""
    return pickle.dumps((image, pickle.dumps(portrait)), pickle.HIGHEST_PROTOCOL)


def portrait_in(raw: bytes) -> Portrait:
    """The portrait of a packed image; nothing of the program is loaded or run."""
    portrait: Portrait = pickle.loads(pickle.loads(raw)[1])
    return portrait


def open_image(raw: bytes, started: Config) -> tuple[Program, Config]:
    """The program of a packed image, and its configuration on the sockets and files of the start.

    The program's code goes with the configuration: every context holds that, so nothing runs then.
    PythonError when a Python file does not run here.
    """
    program, config = load_image(pickle.loads(raw)[0])
    config.listeners = started.listeners
    config.workers = started.workers
    config.state = started.state
    config.metrics = started.metrics
    config.api = started.api
    return program, config


def load_image(image: bytes) -> tuple[Program, Config]:
    """The program of an image, and its configuration, as `open_image` says, on nothing yet."""
    program = Image.from_bytes(image).load(SURFACE)
    config = build_config(program)
    # Handlers and their namespace refer to each other, and a worker's collector looks rarely.
    weakref.finalize(config, program.namespace.clear).atexit = False
    return program, config
