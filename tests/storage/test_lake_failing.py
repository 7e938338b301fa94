"""A DuckLake whose Postgres or S3 fails: what to look at is said, no secret is, and nothing is lost."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from lakes import PASSWORD, own_postgres

from storage.database import Database
from storage.folder import history_path
from storage.lake import connection_of
from storage.lake_problems import explain_lake
from tocsin.errors import StorageBusy, StorageError, StorageOutrun
from tocsin.place import LakeAddress, bind_lake

SHORT = timedelta(seconds=0.3)


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("duckdb_extension_ducklake", reason="needs tocsin[ducklake]")
    with own_postgres() as server:
        yield server


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    """Return a function that gives the path of a history whose catalog is in that server."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    name = f"d{abs(hash(tmp_path.name))}"
    server.ask(f"CREATE DATABASE {name}")

    def place(**changes):
        keys = {"dbname": name, "host": server.folder, "user": "postgres"} | changes
        catalog = " ".join(f"{key}={value}" for key, value in keys.items())
        folder = tmp_path / f"local{len(list(tmp_path.iterdir()))}"
        bind_lake(folder, LakeAddress("postgres", catalog, str(tmp_path / "parquet")))
        return history_path(folder)

    place.name = name
    return place


def store(db, *keys):
    with db.write() as con:
        for key in keys:
            con.execute("INSERT INTO seen VALUES (?, 0)", [key])


def keys(path):
    with Database(path).read() as con:
        return [key for (key,) in con.execute("SELECT key FROM seen ORDER BY key").fetchall()]


@pytest.mark.parametrize(
    ("changes", "password", "look_at"),
    [
        ({"dbname": "nowhere"}, PASSWORD, r"dbname=.*nowhere"),
        ({"host": "/nowhere"}, PASSWORD, r"host=.*No such file"),
        ({"host": "127.0.0.1", "port": 9}, PASSWORD, r"host= and port=.*refused"),
        ({}, "wrong-and-secret", r"PGPASSWORD.*pg_hba"),
        ({}, "", r"PGPASSWORD.*pg_hba"),
        ({"user": "nobody"}, PASSWORD, r"user=.*PGPASSWORD"),
    ],
    ids=["no database", "no socket", "no server", "wrong password", "no password", "no user"],
)
def test_a_catalog_that_does_not_open_names_what_to_look_at(changes, password, look_at, place, monkeypatch):
    store(Database(place()), 1)
    monkeypatch.setenv("PGPASSWORD", password)
    with pytest.raises(StorageError, match=look_at) as raised:
        store(Database(place(**changes), wait=SHORT), 2)
    assert "lake.url" in str(raised.value)
    assert "secret" not in str(raised.value)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert keys(place()) == [1]


def test_a_server_that_stops_in_the_middle_loses_nothing_and_the_next_use_goes_on(place, server):
    path = place()
    db = Database(path, wait=SHORT)
    store(db, 1)

    def work(con):
        con.execute("INSERT INTO seen VALUES (2, 0)")
        server.stop()
        con.execute("INSERT INTO seen SELECT key + 100, 0 FROM seen")

    try:
        with pytest.raises(StorageError, match=r"cannot be reached.*intact"), db.write() as con:
            work(con)
        for use in (lambda: store(db, 2), lambda: keys(path)):
            with pytest.raises(StorageError, match=r"cannot be reached.*No such file"):
                use()
    finally:
        server.start()
    store(db, 3)
    assert keys(path) == [1, 3]


def test_a_server_that_starts_anew_between_two_uses_is_not_noticed(place, server):
    path = place()
    db = Database(path, wait=SHORT)
    store(db, 1)
    server.stop()
    server.start()
    store(db, 2)
    assert keys(path) == [1, 2]


def test_who_loses_the_turn_stores_nothing_and_does_it_again(place, server):
    """Nobody may be let in by a cut connection while another still stores."""
    path = place()
    store(Database(path), 1)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'"
    tries = []

    def work(con):
        found = con.execute("SELECT key FROM seen").fetchall()
        con.execute("INSERT INTO seen VALUES (2, 0)")
        if not tries:
            assert server.ask(cut) == "1"
        tries.append(found)

    with pytest.raises(StorageOutrun, match="was cut"), Database(path).write() as con:
        work(con)
    tries.clear()
    Database(path, sleep=lambda _: None).change(work)
    assert tries == [[(1,)], [(1,)]]
    assert keys(path) == [1, 2]


@pytest.mark.parametrize("table", ["ducklake_snapshot", "ducklake_table"])
def test_tables_that_another_session_locked_are_waited_for_within_bounds(table, place, server):
    path = place(options="'-c lock_timeout=300ms'")
    store(Database(path), 1)
    db = Database(path, wait=SHORT)
    client = server.client(place.name, f"BEGIN; LOCK TABLE {table}; SELECT 'locked'")[:-2]
    with subprocess.Popen(client, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdin.write(f"BEGIN; LOCK TABLE {table}; SELECT 'locked';\n")
        other.stdin.flush()
        assert other.stdout.readline().strip() == "locked"
        with pytest.raises(StorageBusy, match="pg_locks"):
            store(db, 2)
        other.stdin.close()
    store(db, 3)
    assert keys(path) == [1, 3]


# ---------------------------------------------------------------- in any environment


def test_an_address_without_bounds_is_given_some_and_its_own_are_kept():
    bare = connection_of(LakeAddress("postgres", "dbname=a", "/p"))
    assert bare.startswith("dbname=a connect_timeout=10 ")
    assert "lock_timeout=30s" in bare
    own = connection_of(LakeAddress("postgres", "dbname=a options='-c work_mem=9MB' connect_timeout=3", "/p"))
    assert own == "dbname=a options='-c work_mem=9MB' connect_timeout=3 tcp_user_timeout=60000"
    assert connection_of(LakeAddress("sqlite", "/c.sqlite", "/p")) == "/c.sqlite"


COMMIT = "TransactionContext Error: Failed to commit: Failed to commit DuckLake transaction.\n"


@pytest.mark.parametrize(
    ("text", "kind", "look_at"),
    [
        (f"{COMMIT}Transaction conflict - attempting to insert into table", StorageOutrun, "Another tool"),
        (f"{COMMIT}Failed to flush changes into DuckLake: database is locked", StorageOutrun, "Another tool"),
        ("FATAL:  sorry, too many clients already", StorageBusy, "max_connections"),
        ("FATAL:  remaining connection slots are reserved", StorageBusy, "max_connections"),
        ("ERROR:  cannot execute INSERT in a read-only transaction", StorageError, "only repeats"),
        ("ERROR:  permission denied for table ducklake_snapshot", StorageError, "rights of user="),
        (
            "HTTP Error: GET error reading 'http://s/b/x.parquet' (HTTP 404)\n\nNoSuchKey: x",
            StorageError,
            "gone",
        ),
    ],
)
def test_what_fails_is_known_by_its_words(text, kind, look_at):
    said = explain_lake(text, Path("/data/lake.url"))
    assert type(said) is kind
    assert str(said).startswith("/data/lake.url: ")
    assert look_at in str(said)


def test_words_of_an_article_in_a_failing_statement_are_not_taken_for_the_reason():
    news = "INSERT INTO articles VALUES (1, 'It''s AccessDenied: database is locked, NoSuchBucket')"
    assert explain_lake(f'{COMMIT}Failed to execute "{news}": it broke', Path("lake.url")) is None


def test_what_is_none_of_these_is_left_to_others():
    assert explain_lake("IO Error: No space left on device", None) is None
