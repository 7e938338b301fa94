"""People's SQL: answered whole, refused clearly, never able to change the history."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.database import Database
from storage.publish import publish
from storage.query import run_query
from storage.runs import start_run
from tocsin.errors import QueryError, StorageBusy, StorageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=["memory", "file"])
def history(request, tmp_path_factory) -> Database:
    database = Database(
        None if request.param == "memory" else tmp_path_factory.mktemp("history") / "x.duckdb"
    )
    with database.write() as con:
        start_run(con, "run", "monitor", now=datetime(2025, 1, 27, 12, tzinfo=UTC))
    return database


def test_an_answer_has_columns_types_and_rows(history):
    result = run_query(
        history, "SELECT run_id, started_at, 1.5::DOUBLE AS half, [1, 2] AS list, NULL AS none FROM runs;"
    )
    assert result.columns == ("run_id", "started_at", "half", "list", "none")
    assert result.types[:4] == ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "DOUBLE", "INTEGER[]")
    assert result.rows == [("run", datetime(2025, 1, 27, 12, tzinfo=UTC), 1.5, [1, 2], None)]
    assert result.rows[0][1].tzinfo is UTC
    assert not result.is_cut


@pytest.mark.parametrize(
    ("limit", "rows", "is_cut"),
    [(None, 5000, False), (5001, 5000, False), (5000, 5000, False), (10, 10, True), (0, 0, True)],
)
def test_a_limit_cuts_and_says_so(history, limit, rows, is_cut):
    result = run_query(history, "FROM range(5000)", limit=limit)
    assert (len(result.rows), result.is_cut) == (rows, is_cut)
    assert len(run_query(history, "FROM runs").rows) == 1


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT colour FROM runs", "colour"),
        ("FROM no_such_table", "no_such_table"),
        ("SELECT ?", "parameter"),
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
        ("", "0 statements"),
        ("-- only a remark", "0 statements"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DELETE FROM runs", "read-only"),
        ("DROP TABLE runs", "read-only"),
        ("CREATE TABLE mine (i INTEGER)", "read-only"),
        ("COMMIT", "transactions"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(history, sql, said):
    with pytest.raises(QueryError, match=said) as caught:
        run_query(history, sql)
    assert caught.value.path == history.path
    assert str(caught.value).startswith("The query ")
    assert len(run_query(history, "FROM runs").rows) == 1


@pytest.mark.duckdb_file("readers of the other never wait")
def test_a_held_history_is_not_blamed_on_the_query(database, hold):
    hold(database.path)
    with pytest.raises(StorageBusy):
        run_query(database, "SELECT 1")


def test_a_missing_history_is_not_blamed_on_the_query(tmp_path):
    with pytest.raises(StorageError) as caught:
        run_query(Database(tmp_path / "none.duckdb"), "SELECT 1")
    assert type(caught.value) is StorageError


_SLOW = """
import sys
from pathlib import Path
from storage.database import Database
from storage.folder import history_path
from storage.query import query_published, run_query

folder = Path(sys.argv[1])
slow = "SELECT count(*) FROM range(400000000) AS r(i) WHERE hash(i) = 3"
print(run_query(Database(history_path(folder)), slow).rows, query_published(folder, slow).rows)
"""


def test_a_slow_question_prints_nothing_but_its_answer(database, now):
    with database.write() as con:
        start_run(con, "run", "monitor", now=now)
    publish(database, now=now)
    said = subprocess.run(
        [sys.executable, "-c", _SLOW, database.path.parent], cwd=ROOT, capture_output=True, check=True
    )
    assert said.stdout == b"[(0,)] [(0,)]\n"
