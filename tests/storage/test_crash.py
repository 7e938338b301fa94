"""kill -9 at bad moments: the history opens and holds exactly what was committed."""

import random
from datetime import timedelta

import pytest

from storage.database import FILE_NAME, Database


@pytest.fixture
def placed(path, place_history):
    """The path of a history that is not made yet."""
    return place_history(path.parent)


_WRITE_ON_AND_ON = """
import itertools, sys
from datetime import UTC, datetime
from pathlib import Path
from storage.database import Database
from storage.runs import start_run

database = Database(Path(sys.argv[1]))
for number in itertools.count(1):
    with database.write() as con:
        start_run(con, f"run-{number}", "monitor", now=datetime(2025, 1, 27, tzinfo=UTC))
    print(number, flush=True)
"""

_STOP_AT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from storage.database import Database
from storage.runs import start_run

def stop():
    print("stopped", flush=True)
    sys.stdin.readline()

class Stopping(Database):
    def _release(self, con):
        if sys.argv[2] == "after commit":
            stop()
        super()._release(con)

with Stopping(Path(sys.argv[1])).write() as con:
    start_run(con, "run-1", "monitor", now=datetime(2025, 1, 27, tzinfo=UTC))
    if sys.argv[2] == "in the transaction":
        stop()
"""


def stored_runs(path) -> list[str]:
    with Database(path, wait=timedelta(0)).read() as con:
        return [
            name for (name,) in con.execute("SELECT run_id FROM runs ORDER BY started_at, run_id").fetchall()
        ]


@pytest.mark.parametrize("seed", range(8))
def test_a_writer_killed_anywhere_loses_nothing_it_reported(seed, placed, start_child):
    child = start_child(_WRITE_ON_AND_ON, placed)
    reported = [child.hear() for _ in range(random.Random(seed).randint(1, 9))][-1]
    child.kill()
    stored = {int(name.removeprefix("run-")) for name in stored_runs(placed)}
    assert len(stored) >= int(reported)
    assert stored == {*range(1, len(stored) + 1)}


@pytest.mark.parametrize(("moment", "kept"), [("in the transaction", []), ("after commit", ["run-1"])])
def test_a_kill_keeps_exactly_what_was_committed(moment, kept, database, start_child):
    child = start_child(_STOP_AT, database.path, moment)
    assert child.hear() == "stopped"
    child.kill()
    assert stored_runs(database.path) == kept
    with database.write() as con:
        assert len(con.execute("FROM runs").fetchall()) == len(kept)


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_while_the_history_is_made_leaves_one_that_opens(seed, placed, start_child):
    child = start_child("import duckdb, pyarrow\nprint('ready', flush=True)\n" + _WRITE_ON_AND_ON, placed)
    assert child.hear() == "ready"
    begun = placed.parent if placed.name == FILE_NAME else placed.parent / "lake"
    while not begun.exists():
        pass
    spin = random.Random(seed).randint(0, 200_000)
    while spin:
        spin -= 1
    child.kill()
    with Database(placed).write() as con:
        assert con.execute("SELECT max(number) FROM schema_migrations").fetchall()[0][0] >= 2
