"""The states of a call, in the order in which they are passed."""

from __future__ import annotations

ROUTING, ADMITTING, CALLING, ANSWERED, ENDED = range(5)
