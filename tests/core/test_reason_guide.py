"""The quick reference beside the end reasons: whole, and with commands that exist."""

from __future__ import annotations

import importlib
import re

import pytest
from cyclopts import App

from router.cli.main import COMMANDS
from router.core.end_reasons import BY_STATUS, EndReason, cause_of_status
from router.core.reason_guide import DRAWERS, GUIDE, PLACEHOLDERS


@pytest.mark.parametrize("reason", EndReason)
def test_every_reason_has_its_entry_in_both_languages(reason: EndReason) -> None:
    guide = GUIDE[reason]
    assert guide.drawer in DRAWERS
    assert reason.diagnosis.endswith(".") and reason.diagnosis.isascii()
    assert guide.chinese.endswith("。") and not guide.chinese.isascii()
    assert guide.look and guide.do
    assert set(re.findall(r"{(\w+)}", guide.command)) <= set(PLACEHOLDERS)
    assert reason.chinese and 0 < reason.q850 < 128
    assert reason.status == 0 or 400 <= reason.status < 700


@pytest.mark.parametrize("reason", EndReason)
def test_the_command_of_every_reason_exists(reason: EndReason) -> None:
    words = GUIDE[reason].command.split()
    assert words[0] == "trunkline"
    known = {command.name: command.path for command in COMMANDS}
    assert words[1] in known
    module, _, name = known[words[1]].partition(":")
    command = getattr(importlib.import_module(module), name)
    if isinstance(command, App) and len(words) > 2 and words[2].isalpha():
        assert words[2] in command


def test_a_gateways_code_becomes_a_reason_that_a_caller_can_be_told() -> None:
    assert all(reason.status for reason in BY_STATUS.values())
    assert cause_of_status(486) == 17
    assert cause_of_status(699) == 31, "interworking, where RFC 3398 names none"
