"""The door to the file: turns, waiting, damage, and places that cannot be written."""

import os
import random
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from storage.alerts import DuckOutbox, store_alerts
from storage.database import Database
from storage.query import run_query
from storage.runs import start_run
from tocsin.errors import StorageBusy, StorageCorrupt, StorageError, StorageOutrun
from tocsin.types import Delivery

OF_THE_FILE = pytest.mark.duckdb_file("its locks, bytes and blocks")

ENTRIES = {
    "write": lambda database, now: database.write().__enter__(),
    "read": lambda database, now: database.read().__enter__(),
    "outbox load": lambda database, now: DuckOutbox(database).load_due(now),
    "outbox record": lambda database, now: DuckOutbox(database).record(Delivery("alert-1", now, "sending")),
    "query": lambda database, now: run_query(database, "SELECT 1"),
}
UNDAMAGED = ("outbox load", "outbox record", "query")


@pytest.fixture
def stored(database: Database, make_alert: Callable) -> Database:
    with database.write() as con:
        store_alerts(con, "run", [make_alert()])
    return database


def count_runs(database: Database) -> int:
    with database.read() as con:
        return con.execute("SELECT count(*) FROM runs").fetchall()[0][0]


# ---------------------------------------------------------------- transactions


@pytest.fixture
def placed(path, place_history):
    """The path of a history that is not made yet."""
    return place_history(path.parent)


def test_what_a_write_block_did_is_there_for_the_next_reader(database, now):
    with database.write() as con:
        start_run(con, "run", "monitor", now=now)
    assert count_runs(database) == 1


@pytest.mark.parametrize("place", ["memory", "file"])
def test_an_exception_in_a_write_block_undoes_all_of_it(place, placed, now):
    database = Database(None if place == "memory" else placed)
    with database.write() as con:
        start_run(con, "kept", "monitor", now=now)
    with pytest.raises(KeyboardInterrupt), database.write() as con:  # noqa: PT012
        start_run(con, "undone", "monitor", now=now)
        raise KeyboardInterrupt
    assert count_runs(database) == 1


@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_read_block_cannot_write(place, placed):
    database = Database(None if place == "memory" else placed)
    with database.write():
        pass
    with pytest.raises(StorageError, match="read-only"), database.read() as con:
        con.execute("DELETE FROM runs")


def test_a_mistaken_statement_is_a_storage_error_that_names_the_file(database):
    with pytest.raises(StorageError, match="no_such_table") as caught, database.write() as con:
        con.execute("FROM no_such_table")
    assert caught.value.path == database.path
    assert str(database.path) in str(caught.value)


def test_words_quoted_from_data_do_not_pass_for_corruption(database):
    with pytest.raises(StorageError) as caught, database.write() as con:
        con.execute("SELECT CAST('corrupt file: could not set lock' AS INTEGER)")
    assert type(caught.value) is StorageError


def test_times_are_utc_and_the_log_is_allowed_to_grow(database):
    with database.write() as con:
        settings = con.execute(
            "SELECT current_setting('TimeZone'), current_setting('wal_autocheckpoint')"
        ).fetchall()
    zone, log_size = settings[0]
    assert zone == "UTC"
    assert log_size == "244.1 MiB"


@OF_THE_FILE
def test_the_file_is_closed_after_each_use(database, hold):
    with database.write():
        pass
    child = hold(database.path)  # would fail if we still held it
    child.end()
    assert child.process.returncode == 0


def test_uses_do_not_nest_in_one_thread(database):
    with pytest.raises(StorageError, match="nest"), database.write(), database.read():
        pass


# ---------------------------------------------------------------- held files


@OF_THE_FILE
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_says_busy_while_another_process_holds_the_file(entry, stored, hold, now):
    child = hold(stored.path)
    with pytest.raises(StorageBusy) as caught:
        ENTRIES[entry](stored, now)
    assert str(stored.path) in str(caught.value)
    assert f"process {child.process.pid}" in str(caught.value)
    child.end()
    if entry in UNDAMAGED:
        ENTRIES[entry](stored, now)
    assert count_runs(stored) == 0


@OF_THE_FILE
def test_a_reader_in_another_process_keeps_writers_out_but_not_readers(stored, hold):
    hold(stored.path, "read")
    assert count_runs(stored) == 0
    with pytest.raises(StorageBusy), stored.write():
        pass


@OF_THE_FILE
@pytest.mark.parametrize("entry", UNDAMAGED)
def test_a_held_file_is_waited_for(entry, stored, hold, now):
    child = hold(stored.path)
    patient = Database(stored.path, wait=timedelta(seconds=5), sleep=lambda _seconds: child.end())
    ENTRIES[entry](patient, now)


@OF_THE_FILE
def test_waiting_ends_after_the_allowed_time_in_growing_pauses(stored, hold):
    hold(stored.path)
    pauses: list[float] = []
    waiting = Database(stored.path, wait=timedelta(seconds=30), sleep=pauses.append, rng=random.Random(7))
    with pytest.raises(StorageBusy), waiting.write():
        pass
    assert sum(pauses) == pytest.approx(30)
    assert pauses[0] < 0.1
    assert 1 < max(pauses) <= 2
    assert len(set(pauses)) == len(pauses)


@OF_THE_FILE
def test_a_connection_of_other_settings_in_this_process_is_busy_too(database):
    other = duckdb.connect(database.path)
    try:
        with pytest.raises(StorageBusy), database.read():
            pass
    finally:
        other.close()


def test_threads_take_turns_even_through_two_databases(placed, now):
    def store(database: Database, names: range) -> None:
        for name in names:
            with database.write() as con:
                start_run(con, f"run-{name}", "monitor", now=now)

    threads = [
        threading.Thread(target=store, args=(Database(placed), range(5 * number, 5 * number + 5)))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_runs(Database(placed)) == 20


def test_a_thread_that_waits_too_long_for_its_turn_is_told_busy(database):
    refused: list[Exception] = []

    def try_reading() -> None:
        try:
            run_query(database, "SELECT 1")
        except StorageBusy as error:
            refused.append(error)

    with database.write():
        thread = threading.Thread(target=try_reading)
        thread.start()
        thread.join()
    assert "another thread" in str(refused[0])


# ---------------------------------------------------------------- nothing there, or not a database


def test_reading_without_a_history_says_how_to_make_one_and_makes_nothing(path):
    with pytest.raises(StorageError, match=r"no history yet.*tocsin monitor") as caught:
        run_query(Database(path), "SELECT 1")
    assert str(path) in str(caught.value)
    assert not path.parent.exists()


@OF_THE_FILE
def test_writing_makes_folder_and_file_and_nothing_else(path):
    with Database(path).write():
        pass
    assert [entry.name for entry in path.parent.iterdir()] == ["tocsin.duckdb"]


@OF_THE_FILE
def test_a_file_that_appears_meanwhile_is_not_replaced(path, monkeypatch, now):
    """Another process may make the file between our look and our turn."""
    with Database(path).write() as con:
        start_run(con, "theirs", "monitor", now=now)
    real = Path.exists
    looks = iter([False])
    monkeypatch.setattr(Path, "exists", lambda self: next(looks, None) is not False and real(self))
    with Database(path).write() as con:
        assert con.execute("SELECT run_id FROM runs").fetchall() == [("theirs",)]


@OF_THE_FILE
def test_a_file_system_without_hard_links_is_enough(path, monkeypatch):
    def refuse(*_arguments: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    with Database(path).write():
        pass
    assert [entry.name for entry in path.parent.iterdir()] == ["tocsin.duckdb"]


def _flip_a_byte(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 0xFF]) + content[offset + 1 :]


DAMAGE = {
    "random": lambda content: random.Random(1).randbytes(20_000),
    "empty": lambda content: b"",
    "text": lambda content: b"<html>not a database</html>",
    "sqlite": lambda content: b"SQLite format 3\0" + bytes(5000),
    "cut": lambda content: content[:9000],
    "header": lambda content: _flip_a_byte(content, 16),
    "blocks": lambda content: content[:12_288] + bytes(len(content) - 12_288),
    "from the future": lambda content: content[:12] + (10_000).to_bytes(8, "little") + content[20:],
}


@OF_THE_FILE
@pytest.mark.parametrize("entry", UNDAMAGED)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_left_untouched(damage, entry, stored, now):
    damaged = DAMAGE[damage](stored.path.read_bytes())
    stored.path.write_bytes(damaged)
    with pytest.raises(StorageCorrupt, match=r"left untouched.*backup.*TOCSIN_DATA") as caught:
        ENTRIES[entry](stored, now)
    assert str(caught.value).startswith(str(stored.path))
    assert stored.path.read_bytes() == damaged
    assert [file.name for file in stored.path.parent.iterdir()] == [stored.path.name]


# ---------------------------------------------------------------- places that cannot be written


def test_a_folder_below_a_file_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(StorageError, match="file/data") as caught,
        Database(tmp_path / "file" / "data" / "tocsin.duckdb").write(),
    ):
        pass
    assert type(caught.value) is StorageError


def test_a_folder_in_the_place_of_the_file_is_a_clear_error(tmp_path):
    with pytest.raises(StorageError, match="directory"), Database(tmp_path).write():
        pass


_AS_NOBODY = """
import os, sys
from pathlib import Path
from storage.database import Database
from storage.query import run_query
from tocsin.errors import StorageError

if os.getuid() == 0:
    os.setuid(65534)
database = Database(Path(sys.argv[1]))
if sys.argv[2] == "read":
    print(run_query(database, "SELECT count(*) FROM runs").rows)
else:
    try:
        with database.write() as con:
            con.execute("DELETE FROM runs")
        print("written")
    except StorageError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_a_clear_error(open_folder, start_child):
    open_folder.chmod(stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH)
    said = start_child(_AS_NOBODY, open_folder / "tocsin.duckdb", "write").hear()
    assert said.startswith(f"StorageError {open_folder}/tocsin.duckdb may not be opened or written")
    assert "permission" in said


def test_a_history_that_may_only_be_read_can_be_read(open_folder, start_child):
    path = open_folder / "tocsin.duckdb"
    with Database(path).write():
        pass
    path.chmod(0o444)
    open_folder.chmod(0o555)
    assert start_child(_AS_NOBODY, path, "read").hear() == "[(0,)]"
    assert start_child(_AS_NOBODY, path, "write").hear().startswith(f"StorageError {path} may not")


_ON_A_FULL_DISK = """
import resource, sys
from datetime import timedelta
from pathlib import Path
from storage.database import Database
from tocsin.errors import StorageError

path = Path(sys.argv[1])
limit = path.stat().st_size + 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with Database(path).write() as con:
        con.execute("INSERT INTO runs SELECT uuid(), repeat(uuid()::VARCHAR, 9), now(), NULL, 'x', NULL "
                    "FROM range(200000)")
    print("written")
except StorageError as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_committed(database, start_child, now):
    with database.write() as con:
        start_run(con, "before", "monitor", now=now)
    said = start_child(_ON_A_FULL_DISK, database.path).hear()
    assert said.startswith(f"StorageError {database.path} could not be written: the disk is full")
    assert count_runs(database) == 1


@OF_THE_FILE
def test_a_row_group_is_small_so_that_a_checkpoint_needs_little_memory(database):
    with database.write() as con:
        con.execute("CREATE TABLE many AS SELECT range AS id FROM range(50_000)")
    with database.read() as con:
        rows = con.execute("SELECT max(count) FROM pragma_storage_info('many')").fetchall()
    assert rows[0][0] <= 16_384


def test_work_that_was_outrun_is_undone_and_done_again_after_growing_pauses(placed):
    pauses, tries = [], []

    def work(con):
        tries.append(con.execute("SELECT count(*) FROM seen").fetchall())
        con.execute("INSERT INTO seen VALUES (1, 1)")
        if len(tries) < 4:
            raise StorageOutrun("another's commit came first")
        return "done"

    db = Database(placed, sleep=pauses.append, rng=random.Random(1))
    assert db.change(work) == "done"
    assert tries == [[(0,)]] * 4
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    with db.read() as con:
        assert con.execute("FROM seen").fetchall() == [(1, 1)]


def test_work_that_is_always_outrun_ends_when_its_pauses_add_up_to_the_wait(placed):
    pauses = []

    def work(con):
        raise StorageOutrun("another's commit came first")

    with pytest.raises(StorageOutrun) as raised:
        Database(placed, sleep=pauses.append, wait=timedelta(seconds=3)).change(work)
    assert sum(pauses) == pytest.approx(3)
    assert raised.value.path == placed


def test_other_errors_of_the_work_are_not_tried_again(placed):
    tries = []

    def work(con):
        tries.append(1)
        raise StorageBusy("held by another")

    with pytest.raises(StorageBusy):
        Database(placed, sleep=tries.append).change(work)
    assert tries == [1]
