"""trunkline fmt: what is written, what is only said, and what is left alone."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from router.cli.fmt import fmt

UGLY = "workers=2\nrequest_route{reply(200);}\n"
NEAT = "workers = 2\n\nrequest_route {\n    reply(200);\n}\n"
BROKEN = "request_route {\n    reply(200)\n    drop\n}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.cfg"
    path.write_text(UGLY)
    return path


def test_a_file_is_brought_into_its_layout(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fmt(file) == 0
    assert file.read_text() == NEAT
    assert capsys.readouterr().out == f"changed {file}\n"


def test_a_file_that_is_laid_out_already_is_not_written(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(NEAT)
    file.chmod(0o444)
    before = file.stat()
    assert fmt(file) == 0
    assert file.stat().st_ino == before.st_ino
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert capsys.readouterr().out == ""


def test_check_names_the_files_that_differ_and_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    neat = tmp_path / "neat.cfg"
    neat.write_text(NEAT)
    assert fmt(neat, check=True) == 0
    assert fmt(neat, file, check=True) == 1
    assert file.read_text() == UGLY
    shown = capsys.readouterr()
    assert shown.out == f"would change {file}\n"
    assert "1 of 2 files would change" in shown.err


def test_diff_shows_what_would_change(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fmt(file, diff=True) == 1
    assert file.read_text() == UGLY
    shown = capsys.readouterr().out
    assert "-workers=2\n" in shown
    assert "+workers = 2\n" in shown
    assert "would change" not in shown
    assert fmt(file, check=True, diff=True) == 1
    both = capsys.readouterr().out
    assert f"would change {file}" in both
    assert "+workers = 2\n" in both


def test_a_file_with_syntax_errors_is_left_alone_and_the_errors_are_shown(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.cfg"
    broken.write_text(BROKEN)
    assert fmt(broken, file) == 1
    assert broken.read_text() == BROKEN
    assert file.read_text() == NEAT
    shown = capsys.readouterr()
    assert f"{broken}:2:15: error: expected `;` here [syntax]" in shown.err
    assert "left alone" in shown.err
    assert shown.out == f"changed {file}\n"


def test_the_mode_of_a_file_is_kept_and_nothing_else_is_left_behind(
    file: Path, tmp_path: Path
) -> None:
    file.chmod(0o640)
    assert fmt(file) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["routes.cfg"]


def test_a_file_that_cannot_be_replaced_stays_whole(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert fmt(file) == 1
    assert file.read_text() == UGLY
    assert os.listdir(tmp_path) == ["routes.cfg"]
    assert f"{file}: cannot be written: no space left on device" in capsys.readouterr().err


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.cfg"
    link.symlink_to("routes.cfg")
    assert fmt(link) == 0
    assert link.is_symlink()
    assert file.read_text() == NEAT


def test_windows_line_ends_and_a_byte_order_mark_are_taken_away(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + NEAT.replace("\n", "\r\n").encode())
    assert fmt(file, check=True) == 1
    assert fmt(file) == 0
    assert file.read_bytes() == NEAT.encode()


def test_the_standard_input_goes_to_the_output(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))
    assert fmt(Path("-")) == 0
    assert capfdbinary.readouterr().out == NEAT.encode()


def test_the_standard_input_with_errors_gives_no_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKEN.encode())))
    assert fmt(Path("-")) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "<stdin>:2:15: error" in shown.err


def test_without_a_file_it_is_routes_cfg(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert fmt() == 0
    assert file.read_text() == NEAT


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.cfg", None, "cannot be read: no such file or directory"),
        ("latin.cfg", b"# caf\xe9\n", "is not UTF-8 text"),
        ("", None, "cannot be read: is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_done(
    file: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / name
    if content is not None:
        other.write_bytes(content)
    assert fmt(other, file) == 1
    assert file.read_text() == NEAT
    shown = capsys.readouterr().err
    assert str(other) in shown
    assert reason in shown


def test_a_misspelt_option_is_no_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fmt(Path("--chekc"), file) == 1
    assert file.read_text() == UGLY
    assert "unknown option: --chekc" in capsys.readouterr().err
