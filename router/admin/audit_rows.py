"""Who changed what by order, newest first."""

from __future__ import annotations

from pathlib import Path

from router.store.objects import OBJECTS_DIR, AuditRow, LmdbObjects


def read_audit(state: Path, what: str = "", limit: int = 0, before: int = 0) -> list[AuditRow]:
    """Rows of the audit, newest first; StoreError when it cannot be read.

    `what` keeps those about backup, or "gateway backup"; `limit` 0 is all; `before` keeps those
    with a smaller number, 0 all.
    """
    folder = state / OBJECTS_DIR
    rows: list[AuditRow] = []
    if not (folder / "data.mdb").exists():
        return rows
    objects = LmdbObjects(folder, readonly=True)
    try:
        for row in objects.audit():
            if before and row.number >= before:
                continue
            if what and row.what != what and row.what.partition(" ")[2] != what:
                continue
            rows.append(row)
            if len(rows) == limit:
                break
    finally:
        objects.close()
    return rows
