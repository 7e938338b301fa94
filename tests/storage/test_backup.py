"""Backups: the same history elsewhere, whatever fails, and a quiet next poll where that is asked."""

import os
import shutil
import stat
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from care import counts, read, wrong
from old_histories import LEVELS, WHEN, write_history

from storage.backup import back_up
from storage.database import Database
from storage.history_file import PARQUET
from storage.publish import publish
from storage.restore import ASIDE, restore
from tocsin.errors import StorageCorrupt, StorageError

INTO_A_FILE = pytest.mark.duckdb_file("it is restored into one; test_lake.py refuses a DuckLake")


def plain(rows):
    """Give rows with arrays as what a DuckLake has in their place, lists."""
    return [[list(value) if isinstance(value, tuple) else value for value in row] for row in rows]


def test_a_backup_restored_elsewhere_is_the_same_history(history, now, tmp_path):
    done = back_up(history, tmp_path / "b.duckdb", now=now)
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "b.duckdb" in path.name] == ["b.duckdb"]
    restored = restore(done.path, tmp_path / "other")
    other = Database(restored.path)
    listing = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
    tables = [name for (name,) in read(history, listing)]
    for name in tables:
        if name != "alerts":
            listing = f"FROM {name} ORDER BY ALL"
            assert plain(read(other, listing)) == plain(read(history, listing)), name
    assert (restored.rows, restored.made_at, restored.doubtful) == (done.rows, now, 1)
    assert read(other, "SELECT state FROM alerts") == [("sending",)]  # its channel is asked first
    assert read(other, "SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'backup'") == [(0,)]
    publish(other, now=now)
    assert wrong(other) == []


@pytest.mark.parametrize("name", ["backup.duckdb", "main.duckdb", "history.duckdb", "copy.duckdb"])
def test_a_backup_may_have_any_name(name, history, now, tmp_path):
    done = back_up(history, tmp_path / "safe" / name, now=now)
    assert restore(done.path, tmp_path / "other").rows == done.rows


def test_a_backup_into_a_folder_is_named_by_the_time_and_never_overwrites(history, now, tmp_path):
    done = back_up(history, tmp_path, now=now)
    assert done.path.name == "tocsin-20250127T120000Z.duckdb"
    before = done.path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        back_up(history, tmp_path, now=now)
    assert done.path.read_bytes() == before
    with history.write() as con:
        con.execute("DELETE FROM fetches")
    assert back_up(history, tmp_path, now=now, force=True).rows == done.rows - 400


@INTO_A_FILE
def test_a_backup_holds_what_a_killed_run_left_in_the_log(history, start_child, now, tmp_path):
    child = start_child(
        "import sys, duckdb\n"
        "con = duckdb.connect(sys.argv[1])\n"
        'con.execute("INSERT INTO seen VALUES (1, 1)")\n'
        "print('stored', flush=True)\nsys.stdin.readline()",
        history.path,
    )
    assert child.hear() == "stored"
    child.kill()
    assert history.path.with_name("tocsin.duckdb.wal").exists()
    done = back_up(history, tmp_path / "b.duckdb", now=now)
    with duckdb.connect(done.path, read_only=True) as con:
        assert con.execute("SELECT count(*) FROM seen").fetchall() == [(401,)]


@INTO_A_FILE
@pytest.mark.parametrize("level", LEVELS)
def test_a_backup_of_an_older_schema_is_kept_as_it_is_and_restored_to_the_newest(level, path, now, tmp_path):
    write_history(path, level)
    done = back_up(Database(path), tmp_path / "b.duckdb", now=now)
    assert done.change == level
    restored = restore(done.path, tmp_path / "other")
    assert restored.migrated == len(LEVELS) - level
    other = Database(restored.path)
    publish(other, now=WHEN)
    assert read(other, "SELECT count(*) FROM matches") == [(3,)]
    assert wrong(other) == []


@INTO_A_FILE
@pytest.mark.parametrize("harm", ["cut", "one block", "not a database", "rows missing", "empty"])
def test_a_damaged_backup_is_refused_and_changes_nothing(harm, history, now, tmp_path):
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    publish(history, now=now)
    data = bytearray(backup.read_bytes())
    if harm == "cut":
        backup.write_bytes(data[: len(data) // 2])
    elif harm == "one block":
        for at in range(3 * 4096, len(data), 262_144):
            data[at + 5000 : at + 5100] = os.urandom(100)
        backup.write_bytes(data)
    elif harm == "rows missing":
        with duckdb.connect(backup) as con:
            con.execute("DELETE FROM seen WHERE key = 1001")
    else:
        backup.write_bytes(b"" if harm == "empty" else b"PK" + b"\0" * 5000)
    before = history.path.read_bytes()
    with pytest.raises(StorageCorrupt, match=r"b\.duckdb"):
        restore(backup, history.path.parent, force=True)
    assert history.path.read_bytes() == before
    assert {each.name for each in history.path.parent.iterdir()} == {
        "tocsin.duckdb",
        "history.duckdb",
        PARQUET,
    }
    with pytest.raises(StorageCorrupt):
        restore(backup, tmp_path / "other")
    assert not (tmp_path / "other" / "tocsin.duckdb").exists()


@INTO_A_FILE
def test_a_restore_refuses_a_folder_with_a_history_unless_forced_and_keeps_what_was_there(
    history, now, tmp_path
):
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    with history.write() as con:
        con.execute("DELETE FROM articles")
    with pytest.raises(StorageError, match=r"is there already.*--force"):
        restore(backup, history.path.parent)
    assert counts(history)["articles"] == 0
    done = restore(backup, history.path.parent, force=True)
    assert counts(history)["articles"] == 400
    assert done.aside == history.path.with_name(history.path.name + ASIDE)
    assert counts(Database(done.aside))["articles"] == 0


@INTO_A_FILE
def test_a_quiet_restore_makes_the_next_poll_of_each_feed_its_baseline(path, now, tmp_path):
    write_history(path, LEVELS[-1])
    backup = back_up(Database(path), tmp_path / "b.duckdb", now=now).path
    loud = restore(backup, tmp_path / "loud")
    quiet = restore(backup, tmp_path / "quiet", quietly=True)
    assert read(Database(loud.path), "SELECT baseline_at IS NULL FROM feeds") == [(False,)]
    assert read(Database(quiet.path), "SELECT baseline_at IS NULL FROM feeds") == [(True,)]


@INTO_A_FILE
def test_a_backup_of_a_newer_tocsin_is_refused(history, now, tmp_path):
    with history.write() as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'later', 'x', now())")
    backup = back_up(history, tmp_path / "b.duckdb", now=now).path
    with pytest.raises(StorageError, match="newer Tocsin"):
        restore(backup, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


_ON_A_FULL_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.backup import back_up
from storage.compact import compact
from storage.database import Database
from storage.restore import restore
from tocsin.errors import StorageError

limit, data, other = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for action in (
    lambda: back_up(Database(data), other / "full.duckdb", now=datetime(2025, 1, 27, tzinfo=UTC)),
    lambda: restore(other / "b.duckdb", data.parent, force=True),
    lambda: compact(Database(data)),
):
    try:
        action()
        print("done", flush=True)
    except StorageError as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""


@INTO_A_FILE
@pytest.mark.parametrize("limit", [4_000, 700_000])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half(limit, history, start_child, now, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    back_up(history, other / "b.duckdb", now=now)
    before = counts(history)
    child = start_child(_ON_A_FULL_DISK, limit, history.path, other)
    for _ in range(3):
        said = child.hear()
        assert said.startswith("StorageError"), said
        assert "disk is full" in said
    child.end()
    assert counts(history) == before
    assert {each.name for each in other.iterdir()} == {"b.duckdb"}
    names = {each.name for each in history.path.parent.iterdir()}
    assert names - {"tocsin.duckdb.wal"} == {"tocsin.duckdb"}


_AS_NOBODY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.backup import back_up
from storage.database import Database
from storage.restore import restore
from tocsin.errors import StorageError

if os.getuid() == 0:
    os.setuid(65534)
data, other = Path(sys.argv[1]), Path(sys.argv[2])
for action in (
    lambda: back_up(Database(data), other, now=datetime(2025, 1, 27, tzinfo=UTC)),
    lambda: restore(other / "b.duckdb", data.parent, force=True),
):
    try:
        action()
        print("done", flush=True)
    except StorageError as error:
        print(type(error).__name__, str(error).replace(chr(10), " "), flush=True)
"""


@pytest.fixture
def open_folder():
    """A folder that other users may enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.iterdir():
        path.chmod(0o755)
    shutil.rmtree(folder)


@INTO_A_FILE
def test_a_read_only_folder_is_a_clear_error(history, start_child, now, open_folder):
    data, other = open_folder / "data", open_folder / "other"
    data.mkdir()
    other.mkdir()
    back_up(history, other / "b.duckdb", now=now)
    shutil.copy(history.path, data)
    for path in (other / "b.duckdb", data / "tocsin.duckdb"):
        path.chmod(0o444)
    for folder in (data, other):
        folder.chmod(0o555)
    child = start_child(_AS_NOBODY, data / "tocsin.duckdb", other)
    said = [child.hear() for _ in range(2)]
    assert [each.split()[0] for each in said] == ["StorageError"] * 2, said
    assert all("may not be opened or written" in each for each in said), said
    assert [each.name for each in data.iterdir()] == ["tocsin.duckdb"]
    assert [each.name for each in other.iterdir()] == ["b.duckdb"]


@INTO_A_FILE
def test_a_run_may_hold_the_history_and_the_backup_waits(history, hold, now, tmp_path):
    held = hold(history.path)
    patient = Database(history.path, wait=timedelta(seconds=30), sleep=lambda _: held.end())
    assert back_up(patient, tmp_path / "b.duckdb", now=now).rows > 0
