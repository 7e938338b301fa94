"""Two who write to one DuckLake at once: by turns, and beside a tool that takes none."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from storage.database import Database
from tocsin.errors import StorageOutrun

STEPS = 8

# Counts up, and stores a row for each step; `turns` as we do, `none` as a tool of somebody's own.
_COUNT = """
import sys
from datetime import timedelta
from pathlib import Path
import duckdb
from storage.database import Database, connect
from storage.lake import attach_lake
from tocsin.place import read_lake

path, how, first, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
number = first

def work(con):
    con.execute("UPDATE seen SET article_id = article_id + 1 WHERE key = 0")
    con.execute("INSERT INTO seen VALUES (?, 0)", [number])

db = Database(path, wait=timedelta(seconds=300))

def by_turns():
    db.change(work)

con = connect()
attach_lake(con, read_lake(path))
con.execute("USE lake")

def without():
    while True:
        try:
            con.execute("BEGIN")
            work(con)
            con.execute("COMMIT")
            return
        except duckdb.TransactionException:
            try:
                con.execute("ROLLBACK")
            except duckdb.Error:
                pass

print("ready", flush=True)
sys.stdin.readline()
for number in range(first, first + steps):
    by_turns() if how == "turns" else without()
print("done", flush=True)
"""


def tell(child):
    child.process.stdin.write("\n")
    child.process.stdin.flush()


@pytest.mark.parametrize("other", ["turns", "none"])
def test_two_processes_that_write_at_once_lose_nothing_and_double_nothing(other, lake, start_child):
    Database(lake).change(lambda con: con.execute("INSERT INTO seen VALUES (0, 0)"))
    children = [
        start_child(_COUNT, lake, "turns", 1000, STEPS),
        start_child(_COUNT, lake, other, 2000, STEPS),
    ]
    assert [child.hear() for child in children] == ["ready", "ready"]
    for child in children:
        tell(child)
    assert [child.hear() for child in children] == ["done", "done"]
    with Database(lake).read() as con:
        found = con.execute("SELECT key, article_id FROM seen ORDER BY key").fetchall()
    assert found == [
        (0, 2 * STEPS),
        *((key, 0) for first in (1000, 2000) for key in range(first, first + STEPS)),
    ]


_MEDDLE = """
import sys
from pathlib import Path
from storage.database import connect
from storage.lake import attach_lake
from tocsin.place import read_lake

con = connect()
attach_lake(con, read_lake(Path(sys.argv[1])))
con.execute("USE lake")
print("ready", flush=True)
for line in sys.stdin:
    con.execute("UPDATE seen SET article_id = article_id + 10 WHERE key = 1")
    print("done", flush=True)
"""


@pytest.fixture
def outrun(lake, start_child):
    """Store a row; give its history, and a function that has another tool change it meanwhile."""
    with Database(lake).write() as con:
        con.execute("INSERT INTO seen VALUES (1, 1)")
    child = start_child(_MEDDLE, lake)
    assert child.hear() == "ready"

    def meddle():
        tell(child)
        assert child.hear() == "done"

    return lake, meddle


def change(con, meddle):
    con.execute("UPDATE seen SET article_id = article_id + 1 WHERE key = 1")
    con.execute("INSERT INTO seen VALUES (2, 2)")
    meddle()


def everything(path):
    with Database(path).read() as con:
        return con.execute("SELECT key, article_id FROM seen ORDER BY key").fetchall()


def test_what_another_tool_has_outrun_is_done_again_after_pauses_on_what_it_stored(outrun):
    lake, meddle = outrun
    pauses, left = [], [meddle, meddle]
    db = Database(lake, sleep=pauses.append)
    db.change(lambda con: change(con, left.pop() if left else lambda: None))
    assert everything(lake) == [(1, 22), (2, 2)]
    assert len(pauses) == 2
    assert 0 < pauses[0] <= 0.05 < pauses[1] + 0.05 <= 0.15


def test_what_is_outrun_again_and_again_is_given_up_and_nothing_of_it_is_stored(outrun):
    lake, meddle = outrun
    pauses = []
    db = Database(lake, sleep=pauses.append, wait=timedelta(seconds=0.1))
    with pytest.raises(StorageOutrun, match="Another tool"):
        db.change(lambda con: change(con, meddle))
    assert sum(pauses) == pytest.approx(0.1)
    assert everything(lake) == [(1, 1 + 10 * (len(pauses) + 1))]


def test_a_plain_block_that_is_outrun_ends_as_busy_for_it_cannot_be_done_again(outrun):
    lake, meddle = outrun
    with pytest.raises(StorageOutrun, match="Try again"), Database(lake).write() as con:
        change(con, meddle)
    assert everything(lake) == [(1, 11)]
