"""The shared history: clients see one whole version, the newest, and can do nothing but select from it."""

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec

import duckdb
import pytest

from storage import extensions, share
from storage.articles import store_articles
from storage.database import Database
from storage.publish import publish
from storage.share import Listening, share_history
from tocsin.errors import StorageError
from tocsin.types import Article

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "a token of some length"

has_quack = pytest.mark.skipif(
    find_spec("duckdb_extension_quack") is None,
    reason="DuckDB's extension quack is not installed here (tocsin[share])",
)


@pytest.fixture
def db(tmp_path, place_history):
    db = Database(place_history(tmp_path / "data"))
    grow(db, 1)
    return db


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


@pytest.fixture
def shared(db, port):
    with share_history(db.path.parent, Listening("localhost", port, TOKEN)) as shared:
        yield shared


@pytest.fixture
def client(shared, port):
    with connect(port) as con:
        yield con


def grow(db, number):
    article = Article(number, None, f"Headline {number}", "", "One", "f", None, NOW, "en")
    with db.write() as con:
        store_articles(con, "run", articles=[article], sightings=[], keys={})
    publish(db, now=NOW)


def connect(port, token=TOKEN):
    con = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    extensions.load_installed(con, share.EXTENSIONS, advice="")
    con.execute(f"ATTACH 'quack:localhost:{port}' AS tocsin (TOKEN '{token}')")
    return con


def ask(client, sql):
    return client.execute("FROM tocsin.query($sql)", {"sql": sql}).fetchall()


@has_quack
def test_clients_ask_tables_and_views_by_their_names(client):
    assert client.sql("SELECT title FROM tocsin.articles").fetchall() == [("Headline 1",)]
    assert ask(client, "SELECT count(*) FROM topic_daily") == [(0,)]
    assert ask(client, "WITH n AS (SELECT title FROM articles) FROM n ORDER BY 1") == [("Headline 1",)]
    assert ask(client, "DESCRIBE articles")[0][0] == "article_id"


@has_quack
def test_a_newer_version_is_shown_in_one_step_and_a_question_keeps_the_one_it_began_with(db, shared, port):
    with connect(port) as early, connect(port) as late:
        began = early.execute("FROM tocsin.query('SELECT title FROM articles, range(2000000)')")
        assert began.fetchmany(1) == [("Headline 1",)]
        assert not shared.refresh()
        grow(db, 2)
        assert shared.refresh()
        assert ask(late, "SELECT count(*) FROM articles") == [(2,)]
        assert len(began.fetchall()) == 2_000_000 - 1


@has_quack
def test_a_version_that_cannot_be_read_leaves_the_one_before(db, shared, client):
    path = share.published_path(db.path.parent)
    path.unlink()
    with pytest.raises(StorageError):
        shared.refresh()
    path.write_bytes(b"no database")
    with pytest.raises(StorageError, match=r"history\.duckdb"):
        shared.refresh()
    assert ask(client, "SELECT count(*) FROM articles") == [(1,)]
    path.unlink()
    grow(db, 2)
    assert shared.refresh()
    assert ask(client, "SELECT count(*) FROM articles") == [(2,)]


@has_quack
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE mine (n INTEGER)",
        "DROP VIEW articles",
        "DROP MACRO only_reading",
        "SELECT 1; DROP MACRO only_reading",
        "WITH n AS (SELECT 1) INSERT INTO articles SELECT * FROM n",
        "COPY (SELECT 1) TO '{folder}/history/mine.parquet'",
        "ATTACH '{folder}/tocsin.duckdb' AS live",
        "SET GLOBAL quack_authorization_function = 'quack_nop_authorization'",
        "RESET GLOBAL quack_authorization_function",
        "PRAGMA database_list",
        "FROM quack_stop('quack:localhost:{port}')",
        "FROM QUACK_STOP('quack:localhost:{port}')",
        "FROM query('FROM quack_stop(''quack:localhost:{port}'')')",
        "FROM quack_server_list()",
        "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM quack_server_list()'))",
        "FROM quack_query('quack:localhost:{port}', 'SELECT 1', token => 'x')",
        "SELECT content FROM read_blob('{folder}/tocsin.duckdb')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('http://localhost:{port}/x.csv')",
        "SELECT * FROM glob('{folder}/*')",
        "CALL enable_logging('QueryLog', storage => 'file', storage_config => {{'path': '{folder}/log'}})",
        "FROM enable_logging('QueryLog')",
        "nonsense",
    ],
)
def test_whatever_does_more_than_select_is_refused(db, client, port, sql):
    folder = db.path.parent
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(duckdb.Error):
        ask(client, sql.format(folder=folder, port=port))
    assert sorted(path.name for path in folder.rglob("*")) == before
    assert ask(client, "SELECT count(*) FROM articles") == [(1,)]


@has_quack
def test_tables_of_the_server_cannot_be_written_through_the_client(client):
    with pytest.raises(duckdb.Error, match="Authorization failed"):
        client.execute("CREATE TABLE tocsin.mine AS SELECT 1")
    with pytest.raises(duckdb.Error):
        client.execute("INSERT INTO tocsin.articles SELECT * FROM tocsin.articles")


@has_quack
def test_another_token_is_refused_and_nobody_can_ask_for_the_right_one(client, port):
    with pytest.raises(duckdb.Error, match="Authentication failed"):
        connect(port, token="another token, just as long")
    for told in ("duckdb_settings()", "duckdb_databases()", "duckdb_functions()"):
        assert TOKEN not in str(ask(client, f"FROM {told}"))


@has_quack
def test_a_taken_port_is_an_error_that_does_not_tell_the_token(shared, db, port):
    with (
        pytest.raises(StorageError, match=f"localhost:{port} cannot be listened on") as caught,
        share_history(db.path.parent, Listening("localhost", port, TOKEN)),
    ):
        pass
    assert TOKEN not in str(caught.value)


@has_quack
def test_afterwards_nobody_listens(db, port):
    with share_history(db.path.parent, Listening("localhost", port, TOKEN)):
        pass
    with pytest.raises(duckdb.Error):
        connect(port)


def test_a_folder_where_nothing_was_published_is_refused(tmp_path):
    with (
        pytest.raises(StorageError, match="nothing was published"),
        share_history(tmp_path, Listening("localhost", 9, TOKEN)),
    ):
        pass


def test_a_missing_extension_is_an_error_that_says_what_to_install(db, monkeypatch):
    monkeypatch.setattr(share, "EXTENSIONS", ("quack_that_nobody_has",))
    with (
        pytest.raises(StorageError, match=r"quack_that_nobody_has here\. Install tocsin\[share\]"),
        share_history(db.path.parent, Listening("localhost", 9, TOKEN)),
    ):
        pass


@has_quack
def test_the_command_shares_until_it_is_told_to_end(db, port):
    environment = os.environ | {"TOCSIN_SHARE_TOKEN": TOKEN}
    command = [
        sys.executable,
        "-m",
        "tocsin",
        "share",
        "--data",
        db.path.parent,
        "--listen",
        f"localhost:{port}",
    ]
    with subprocess.Popen(
        [*command, "--every", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        assert f"quack:localhost:{port}" in process.stdout.readline()
        with connect(port) as con:
            grow(db, 2)
            while ask(con, "SELECT count(*) FROM articles") != [(2,)]:
                pass
        process.send_signal(signal.SIGTERM)
        said = process.stdout.read()
    assert process.returncode == 0
    assert TOKEN not in said
