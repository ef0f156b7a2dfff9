"""What the language reaches of the disk."""

from __future__ import annotations

from pathlib import Path

from router.runtime.routes_file import check_file


def test_a_name_that_no_file_can_have_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "routes.cfg"
    file.write_text('include "a\0b"\nrequest_route { reply(200); }\n')
    assert [finding.code for finding in check_file(file).findings] == ["unreadable-file"]
