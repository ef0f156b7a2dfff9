"""Locks, orders and audit of operators: what is written is there, once, and numbered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.store.errors import StoreError
from router.store.objects import DONE, OBJECTS_DIR, REFUSED, AuditRow, LmdbObjects, Lock

LOCK = Lock("jo", 5, "does not pay")


def row(command: str = "lock", what: str = "gateway a") -> AuditRow:
    return AuditRow(5, "jo", command, what, "unlocked", "locked")


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[LmdbObjects]:
    made = LmdbObjects(tmp_path / OBJECTS_DIR)
    yield made
    made.close()


def test_a_lock_is_there_until_it_is_lifted_and_each_changes_the_version(
    objects: LmdbObjects
) -> None:
    assert objects.version() == 0
    assert objects.lock("gateway:a", LOCK, row())
    assert objects.locks() == {"gateway:a": LOCK}
    assert objects.version() == 1
    assert objects.unlock("gateway:a", row("unlock"))
    assert objects.locks() == {}
    assert objects.version() == 2


def test_what_is_locked_already_or_not_at_all_leaves_no_row(objects: LmdbObjects) -> None:
    assert objects.lock("gateway:a", LOCK, row())
    assert not objects.lock("gateway:a", Lock("al", 6), row())
    assert not objects.unlock("gateway:b", row("unlock"))
    assert len(list(objects.audit())) == 1
    assert objects.version() == 1


def test_a_kill_waits_until_it_is_forgotten(objects: LmdbObjects) -> None:
    objects.kill("id1", row("kill", "call id1"))
    assert objects.kills() == {"id1": "jo"}
    assert objects.version() == 1
    objects.forget_kill("id1")
    objects.forget_kill("id1")
    assert objects.kills() == {}


def test_the_audit_is_newest_first_and_says_how_each_ended(objects: LmdbObjects) -> None:
    first = objects.begin(row("add", "gateway a"))
    second = objects.begin(row("add", "gateway b"))
    third = objects.begin(row("add", "gateway c"))
    objects.conclude(first, DONE)
    objects.conclude(second, REFUSED, "2 errors")
    found = [(one.number, one.what, one.result, one.why) for one in objects.audit()]
    assert found == [
        (third, "gateway c", "begun", ""),
        (second, "gateway b", "refused", "2 errors"),
        (first, "gateway a", "done", ""),
    ]
    assert [one.number for one in objects.audit(limit=1)] == [third]
    objects.conclude(99, DONE)  # never begun: nothing to conclude


def test_another_process_sees_what_was_written_and_cannot_write(
    tmp_path: Path, objects: LmdbObjects
) -> None:
    objects.lock("gateway:a", LOCK, row())
    objects.close()
    reader = LmdbObjects(tmp_path / OBJECTS_DIR, readonly=True)
    assert reader.locks() == {"gateway:a": LOCK}
    with pytest.raises(StoreError):
        reader.kill("x", row())
    reader.close()


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        LmdbObjects(tmp_path / "none", readonly=True)
