import subprocess
import sys
from datetime import timedelta

import pytest

from storage.database import Database
from storage.folder import history_path, lock_data_folder, throwaway_copy
from tocsin.errors import StorageBusy, StorageError

HOLD = """
import sys
from pathlib import Path
from storage.folder import lock_data_folder
with lock_data_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
AT_ONCE = timedelta(0)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of the folder until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_in_the_folder_is_told_that_another_works_there(holder, tmp_path):
    with pytest.raises(StorageBusy, match="another run") as caught, lock_data_folder(tmp_path, wait=AT_ONCE):
        pass
    assert caught.value.path == tmp_path


def test_a_killed_run_leaves_the_folder_free(holder, tmp_path):
    holder.kill()
    holder.wait()
    with lock_data_folder(tmp_path, wait=AT_ONCE):
        pass


def test_the_lock_is_free_again_after_an_error_inside(tmp_path):
    with pytest.raises(ZeroDivisionError), lock_data_folder(tmp_path):
        1 / 0  # noqa: B018
    with lock_data_folder(tmp_path, wait=AT_ONCE):
        pass


def test_a_missing_folder_is_made(tmp_path):
    with lock_data_folder(tmp_path / "new" / "data"):
        assert (tmp_path / "new" / "data").is_dir()


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/data"), lock_data_folder(tmp_path / "file" / "data"):
        pass


def test_a_throwaway_copy_holds_the_history_and_changes_nothing(tmp_path, place_history):
    path = place_history(tmp_path)
    with Database(path).write() as con:
        con.execute("INSERT INTO seen VALUES (1, 2)")
    before = path.read_bytes()
    with throwaway_copy(path) as copy:
        with Database(copy).write() as con:
            assert con.execute("SELECT * FROM seen").fetchall() == [(1, 2)]
            con.execute("DELETE FROM seen")
        assert copy.parent != path.parent
    assert not copy.exists()
    assert path.read_bytes() == before
    with Database(path).read() as con:
        assert con.execute("FROM seen").fetchall() == [(1, 2)]


def test_a_copy_of_no_history_is_no_history(tmp_path):
    with throwaway_copy(history_path(tmp_path)) as copy:
        assert not copy.exists()
