"""What was asked for and makes no sense, wherever it was asked."""

from __future__ import annotations


class WrongValue(Exception):
    """What was asked for makes no sense; the text is one line that says what is accepted."""


class NotThere(WrongValue):
    """Nothing has the name or the id that was given."""


class Clash(WrongValue):
    """It makes sense, and does not go with what is there now."""
