"""A history in DuckLake whose Parquet files lie in a bucket of an S3-compatible server, on loopback."""

import importlib
import urllib.request
import xml.etree.ElementTree as ET

import pytest

from storage.compact import compact
from storage.database import FILE_NAME, Database
from storage.folder import history_path
from storage.move import move_history
from storage.publish import publish
from storage.query import query_published
from storage.size import measure_history
from tocsin.errors import StorageError
from tocsin.place import bind_lake, split_place

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def endpoint():
    """Start a server with an empty bucket `news`; give its host and port."""
    pytest.importorskip("duckdb_extension_httpfs", reason="needs tocsin[ducklake]")
    server = pytest.importorskip("moto.server", reason="needs moto[server] for an S3-compatible server")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    ask(f"http://{host}:{port}/news", method="PUT")
    yield f"{host}:{port}"
    running.stop()


@pytest.fixture
def lake(endpoint, tmp_path, monkeypatch):
    """The path of a history whose files go to that bucket, set up by URL and variables."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("DUCKDB_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("DUCKDB_S3_USE_SSL", "false")
    url = f"ducklake:sqlite:{tmp_path}/catalog.sqlite?data=s3://news/{tmp_path.name}&local={tmp_path}/local"
    address, folder = split_place(url)
    bind_lake(folder, address)
    return history_path(folder)


def ask(url, method="GET", said=None):
    request = urllib.request.Request(url, said, {"Content-Type": "text/plain"}, method=method)
    with OPENER.open(request, timeout=30) as response:
        return response.read()


def list_files(endpoint, lake):
    """List the bucket's files of one test."""
    found = ET.fromstring(ask(f"http://{endpoint}/news?list-type=2&max-keys=1000"))
    names = [each.text for each in found.iter() if each.tag.endswith("}Key")]
    return [name for name in names if name.startswith(lake.parent.parent.name)]


def read(path, sql):
    with Database(path).read() as con:
        return con.execute(sql).fetchall()


def test_rows_lie_in_the_bucket_and_are_read_published_and_tended(endpoint, lake, now):
    db = Database(lake)
    for number in range(3):
        with db.write() as con:
            con.execute("INSERT INTO seen SELECT range + ? * 500, range FROM range(500)", [number])
    assert len([name for name in list_files(endpoint, lake) if "/seen/" in name]) == 3
    assert read(lake, "SELECT count(DISTINCT key), max(key) FROM seen") == [(1500, 1499)]
    compact(db)
    assert read(lake, "SELECT count(*) FROM ducklake_list_files('lake', 'seen')") == [(1,)]
    assert read(lake, "SELECT count(DISTINCT key), max(key) FROM seen") == [(1500, 1499)]
    assert not list(lake.parent.parent.rglob("*.parquet"))
    publish(db, now=now)
    assert query_published(lake.parent, "SELECT count(*) FROM articles").rows == [(0,)]


def test_a_history_moves_into_the_bucket_and_back(endpoint, lake, tmp_path, make_article):
    from storage.articles import store_articles

    file = tmp_path / "old" / FILE_NAME
    with Database(file).write() as con:
        articles = [make_article(number) for number in range(300)]
        store_articles(con, "run", articles=articles, sightings=[], keys={n: n for n in range(300)})
    there = move_history(file, lake)
    assert any("/articles/" in name for name in list_files(endpoint, lake))
    back = move_history(lake, tmp_path / "new" / FILE_NAME)
    assert back.tables == there.tables
    everything = "FROM articles ORDER BY ALL"
    assert read(file, everything) == read(tmp_path / "new" / FILE_NAME, everything)


def test_a_server_that_is_gone_is_a_storage_error_and_no_row_is_half_there(endpoint, lake, monkeypatch):
    with Database(lake).write():
        pass
    monkeypatch.setenv("DUCKDB_S3_ENDPOINT", "127.0.0.1:9")
    gone = Database(lake)
    with pytest.raises(StorageError, match=r"DUCKDB_S3_ENDPOINT.*127\.0\.0\.1:9"), gone.write() as con:
        con.execute("SET http_retries = 0; INSERT INTO seen SELECT range, range FROM range(500)")
    gone.close()
    monkeypatch.setenv("DUCKDB_S3_ENDPOINT", endpoint)
    assert read(lake, "SELECT count(*) FROM seen") == [(0,)]


def store(path, first):
    with Database(path).write() as con:
        con.execute("INSERT INTO seen SELECT range + ?, range FROM range(500)", [first])


def test_a_refused_key_names_the_variables_and_not_their_values_and_loses_nothing(endpoint, lake):
    store(lake, 0)
    ask(f"http://{endpoint}/moto-api/reset-auth", "POST", b"0")  # from now on it knows no key
    try:
        for use in (lambda: store(lake, 1000), lambda: read(lake, "SELECT sum(article_id) FROM seen")):
            with pytest.raises(StorageError, match=r"refused the key.*AWS_SECRET_ACCESS_KEY") as raised:
                use()
            assert "not-a-secret" not in str(raised.value)
            assert "tester" not in str(raised.value)
    finally:
        ask(f"http://{endpoint}/moto-api/reset-auth", "POST", b"inf")
    assert read(lake, "SELECT count(*), sum(article_id) FROM seen") == [(500, 499 * 250)]


def test_a_bucket_that_is_not_there_is_said_before_anything_is_made(endpoint, lake, tmp_path):
    url = f"ducklake:sqlite:{tmp_path}/other.sqlite?data=s3://nowhere/x&local={tmp_path}/other"
    address, folder = split_place(url)
    bind_lake(folder, address)
    with pytest.raises(StorageError, match=r"bucket is not there.*data="):
        store(history_path(folder), 0)
    assert not (tmp_path / "other.sqlite").exists()


def test_a_parquet_file_that_somebody_removed_is_told_as_such(endpoint, lake):
    store(lake, 0)
    [name] = [each for each in list_files(endpoint, lake) if "/seen/" in each]
    backends = importlib.import_module("moto.s3.models").s3_backends
    [bucket] = [each for each in backends["123456789012"]["aws"].buckets.values() if each.name == "news"]
    bucket.keys.pop(name)
    with pytest.raises(StorageError, match="gone from the bucket"):
        read(lake, "SELECT sum(article_id) FROM seen")


def test_its_size_is_that_of_its_objects(endpoint, lake):
    store(lake, 0)
    size = measure_history(Database(lake))
    assert (size.files, size.folder) == (1, None)
    assert size.data > 1000
