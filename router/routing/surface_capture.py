"""The settings of signalling capture, as entries of the function table."""

from __future__ import annotations

from dsl.surface import Setting, ValueType

CAPTURE = (
    Setting(
        "capture_mb",
        ValueType("int", minimum=1, maximum=1_024),
        "How many megabytes of messages trunkline capture keeps; the oldest go first.",
        "64",
    ),
    Setting(
        "capture_hep",
        ValueType("endpoint"),
        "A Homer that is sent what is captured, by HEP3 over UDP, such as 192.0.2.9:9060.",
        "none",
    ),
    Setting(
        "capture_hep_id",
        ValueType("int", minimum=1, maximum=4_294_967_295),
        "The capture id by which the Homer knows this router.",
        "1",
    ),
)
