"""Integrity: whether what is stored fits together, what is published fits it, and what to do where not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from storage.backup import read_contents
from storage.database import Database, connect
from storage.history_file import PARQUET, published_path, read_published
from storage.lake import is_lake
from storage.manifest import Manifest, PublishedFile, load_manifest
from storage.migrate import pending_migrations
from storage.published_tables import KEPT_BACK
from storage.size import HistorySize, measure_history
from tocsin.errors import StorageBusy, StorageError

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `note`: worth knowing, nothing is broken. `advice`: what to do, if anything."""

    check: str
    state: State
    detail: str
    advice: str = ""


# Where a row stands for an article that is not there. An operator's warnings are alerts about no article:
# they have no topic. A pruned article takes all of these with it, and one that was told of is never pruned.
_ORPHANS = {
    "scores": "SELECT count(*) FROM scores ANTI JOIN articles USING (article_id)",
    "entries": "SELECT count(*) FROM entries ANTI JOIN articles USING (article_id)",
    "embeddings": "SELECT count(*) FROM embeddings ANTI JOIN articles USING (article_id)",
    "unscored": "SELECT count(*) FROM unscored ANTI JOIN articles USING (article_id)",
    "story_articles": "SELECT count(*) FROM story_articles ANTI JOIN articles USING (article_id)",
    "stories": (
        "SELECT count(*) FROM (SELECT DISTINCT story_id AS article_id FROM story_articles) "
        "ANTI JOIN articles USING (article_id)"
    ),
    "decisions": "SELECT count(*) FROM decisions ANTI JOIN articles USING (article_id)",
    "labels": "SELECT count(*) FROM labels ANTI JOIN articles USING (article_id)",
    "alerts": (
        "SELECT count(*) FROM (FROM alerts WHERE topic IS NOT NULL) ANTI JOIN articles USING (article_id)"
    ),
}
_DOUBLES = {
    "articles": "SELECT count(*) - count(DISTINCT article_id) FROM articles",
    "seen": "SELECT count(*) - count(DISTINCT key) FROM seen",
    "alerts": "SELECT count(*) - count(DISTINCT alert_id) FROM alerts",
    "embeddings": "SELECT count(*) - count(DISTINCT (article_id, encoder_revision)) FROM embeddings",
    "newest scores": ("SELECT count(*) - count(DISTINCT (article_id, topic)) FROM scores WHERE is_newest"),
}
_UNSEEN = "SELECT count(*) FROM articles ANTI JOIN seen USING (article_id)"


def check_history(db: Database) -> list[Finding]:
    """Read everything that is stored and published, and say what does not fit; changes nothing.

    Hold the data folder's lock, so that nothing moves meanwhile.
    Raises: StorageBusy; StorageError if there is no history at all.
    """
    db.require_history()
    folder = db.require_path().parent
    findings, counts = _check_live(db)
    if counts is not None:
        findings += _guarded("published", lambda: _check_published(folder, counts))
    findings.append(_check_disk(db))
    return findings


def _guarded(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except (StorageError, OSError) as error:
        return [Finding(check, "wrong", str(error), "tocsin publish --full")]


# ---------------------------------------------------------------- the live database


def _check_live(db: Database) -> tuple[list[Finding], dict[str, int] | None]:
    try:
        with db.look() as con:
            contents = read_contents(con)
            counts = {name: rows for name, (rows, _) in contents.items()}
            rows = sum(counts.values())
            read = Finding("live", "ok", f"{db.path}: {len(counts)} tables, {rows:,} rows, every block read")
            schema = _check_schema(con)
            if schema.state != "ok":
                return [read, schema], None
            return [read, schema, *_check_rows(con)], counts
    except StorageBusy:
        raise
    except StorageError as error:
        lost = "restore a backup: tocsin restore FILE --force"
        advice = "mend what it names, then check again" if is_lake(db.path) else lost
        return [Finding("live", "wrong", str(error), advice)], None


def _check_schema(con: duckdb.DuckDBPyConnection) -> Finding:
    pending = pending_migrations(con)
    if not pending:
        return Finding("schema", "ok", "every schema change was made")
    names = ", ".join(f"{each.number} ({each.name})" for each in pending)
    advice = "tocsin backup FILE, then tocsin publish: it makes them; after that check again"
    return Finding("schema", "note", f"schema changes to be made: {names}", advice)


def _check_rows(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    yield _count_wrong(con, "orphans", _ORPHANS, "stand for an article that is not stored")
    yield _count_wrong(con, "doubles", _DOUBLES, "are there more than once")
    [(unseen,)] = con.execute(_UNSEEN).fetchall()
    if unseen:
        yield Finding(
            "seen", "note", f"{unseen:,} articles have no identity in seen: they may come back as new"
        )
    else:
        yield Finding("seen", "ok", "every article's identity is kept")


def _count_wrong(con: duckdb.DuckDBPyConnection, check: str, queries: dict[str, str], what: str) -> Finding:
    found = {name: con.execute(sql).fetchall()[0][0] for name, sql in queries.items()}
    wrong = [f"{count:,} {name}" for name, count in found.items() if count]
    if not wrong:
        return Finding(check, "ok", f"none in {', '.join(queries)}")
    advice = "keep a backup (tocsin backup FILE) and restore an older one that passes, or report it"
    return Finding(check, "wrong", f"{', '.join(wrong)} {what}", advice)


# ---------------------------------------------------------------- what is published


def _check_published(folder: Path, counts: dict[str, int]) -> list[Finding]:
    path = published_path(folder)
    if not path.exists():
        return [Finding("published", "note", "nothing was published yet", "tocsin publish")]
    with connect() as con:
        manifest = load_manifest(con, path)
    if manifest is None:
        return [Finding("published", "wrong", f"{path} cannot be read", "tocsin publish --full")]
    findings = [_check_place(folder, manifest), *_check_files(folder, manifest)]
    if all(finding.state == "ok" for finding in findings):
        findings += [_check_views(folder), _compare_counts(manifest, counts)]
    return findings


def _check_place(folder: Path, manifest: Manifest) -> Finding:
    if Path(manifest.folder) != folder:
        detail = f"it was published for {manifest.folder}, so views look for files there"
        return Finding("published", "wrong", detail, "tocsin publish")
    return Finding("published", "ok", f"generation {manifest.generation}, {manifest.published_at}")


def _check_files(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Read every Parquet file in use: its size and rows are those of the manifest."""
    root = folder / PARQUET
    with connect() as con:
        wrong = [f"{file.name}: {why}" for file in manifest.current if (why := _judge_file(con, root, file))]
    if wrong:
        detail = f"{len(wrong)} of {len(manifest.current)} files are not as published ({wrong[0]})"
        yield Finding("files", "wrong", detail, "tocsin publish --full")
        return
    size = sum(file.bytes for file in manifest.current)
    yield Finding("files", "ok", f"{len(manifest.current)} Parquet files ({size:,} bytes) read whole")
    known = {file.name for file in manifest.files}
    strange = sum(path.relative_to(root).as_posix() not in known for path in root.rglob("*.parquet"))
    if strange:
        yield Finding(
            "leftovers", "note", f"{strange} files belong to nothing", "the next publication removes them"
        )


def _judge_file(con: duckdb.DuckDBPyConnection, root: Path, file: PublishedFile) -> str | None:
    path = root / file.name
    if not path.is_file():
        return "it is missing"
    if path.stat().st_size != file.bytes:
        return f"it has {path.stat().st_size:,} bytes instead of {file.bytes:,}"
    try:
        [(rows, _)] = con.execute(
            "SELECT count(*), sum(hash(part)) FROM read_parquet($path) AS part", {"path": str(path)}
        ).fetchall()
    except duckdb.Error as error:
        return f"it cannot be read ({str(error).splitlines()[0]})"
    return None if rows == file.rows else f"it has {rows:,} rows instead of {file.rows:,}"


def _check_views(folder: Path) -> Finding:
    """Ask each published view for its number of rows."""
    with read_published(folder) as con:
        names = con.execute(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' ORDER BY ALL"
        ).fetchall()
        for (name,) in names:
            con.execute(f'SELECT count(*) FROM "{name}"').fetchall()  # noqa: S608
    return Finding("views", "ok", f"{len(names)} published views answer")


def _compare_counts(manifest: Manifest, counts: dict[str, int]) -> Finding:
    behind = []
    for name, rows in counts.items():
        if name in KEPT_BACK or name not in manifest.progress:
            continue
        published = sum(file.rows for files in manifest.parts(name).values() for file in files)
        if published != rows:
            behind.append(f"{name}: {published:,} of {rows:,} rows")
    if behind:
        detail = f"what is published differs from what is stored ({', '.join(behind[:3])})"
        return Finding("counts", "note", detail, "tocsin publish")
    return Finding("counts", "ok", "what is published has as many rows as what is stored, in every table")


# ---------------------------------------------------------------- the disk


def _check_disk(db: Database) -> Finding:
    """A run needs little; a backup or a compaction needs as much again as the live history has."""
    place = db.require_path().parent
    try:
        found = measure_history(db)
    except StorageError as error:
        return Finding("disk", "note", f"how large the live history is cannot be told: {error}")
    free, size = shutil.disk_usage(found.folder or place).free, found.total
    detail = f"{free / 1e9:,.1f} GB free, {_describe_size(db, found)}"
    if free < max(size // 10 if found.folder else 0, 50_000_000):
        return Finding("disk", "wrong", detail, "make room before the next run; then tocsin prune")
    if free < size:
        return Finding("disk", "note", detail, "a compaction or a backup on this disk would not fit")
    return Finding("disk", "ok", detail)


def _describe_size(db: Database, size: HistorySize) -> str:
    if not is_lake(db.path):
        return f"the live file has {size.total / 1e9:,.3f} GB"
    where = "here" if size.folder else "elsewhere"
    return (
        f"the live history has {size.data / 1e9:,.3f} GB in {size.files:,} Parquet files {where} "
        f"and {size.catalog / 1e9:,.3f} GB in its catalog"
    )
