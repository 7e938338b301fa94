"""Past one machine: worker processes, a Postgres catalog, Parquet in S3, and a worker that is killed."""

import os
import subprocess
import urllib.request
from importlib.util import find_spec

import pytest
from papers import ARTICLES

from tocsin.place import LAKE_NAME

# A Postgres to make databases in, as libpq writes it: "host=/tmp/socket user=postgres".
POSTGRES = os.environ.get("TOCSIN_TEST_POSTGRES")
PARTS = {
    "prefect_dask": 'pip install "tocsin[dask]"',
    "duckdb_extension_ducklake": 'pip install "tocsin[ducklake]"',
    "moto": 'pip install "moto[server,s3]"',
}
MISSING = [advice for name, advice in PARTS.items() if find_spec(name) is None]
MISSING += [] if POSTGRES else ["TOCSIN_TEST_POSTGRES"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


@pytest.fixture
def endpoint():
    """Start an S3-compatible server with an empty bucket `news`; give its host and port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ask_s3(f"http://{host}:{port}/news", method="PUT")
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def lake(endpoint):
    """Make an empty DuckLake; give the variables that say where it is."""
    name = f"tocsin_workers_{os.getpid()}"
    tell_postgres(f"CREATE DATABASE {name}")
    yield {
        "TOCSIN_LAKE": f"ducklake:postgres:{POSTGRES} dbname={name}?data=s3://news/history",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_REGION": "us-east-1",
        "DUCKDB_S3_ENDPOINT": endpoint,
        "DUCKDB_S3_USE_SSL": "false",
    }
    tell_postgres(f"DROP DATABASE {name} WITH (FORCE)")


def tell_postgres(sql):
    subprocess.run(["psql", "-q", f"{POSTGRES} dbname=postgres", "-c", sql], check=True)


def ask_s3(url, method="GET"):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, method=method), timeout=30) as answer:
        return answer.read().decode()


def test_a_lake_filled_by_workers_of_which_one_was_killed_holds_what_one_machine_stores(
    run_papers, alone, papers, lake, stored, run_tocsin
):
    paper = papers[2]
    paper.forget(kills=1)
    done, report, data = run_papers("dask", **lake)
    assert done.returncode == 0, done.stderr
    assert len(paper.killed) == 1
    assert paper.asked.count("/1.xml") == 2
    assert report["lost_feeds"] == 0
    assert "crew.started runner=dask slots=2" in (data / "tocsin.log").read_text()

    assert (data / LAKE_NAME).exists()
    assert not (data / "tocsin.duckdb").exists()
    files = ask_s3(f"http://{lake['DUCKDB_S3_ENDPOINT']}/news?list-type=2")
    assert all(f"/{table}/" in files for table in ("articles", "entries", "embeddings", "scores"))
    found, expected = stored(data, **lake), stored(alone[2])
    assert {table: len(rows) for table, rows in found.items()} == {
        table: len(rows) for table, rows in expected.items()
    }
    assert found == expected
    assert len(found["articles"]) == ARTICLES
    assert report["alerts"] == alone[1]["alerts"]

    published = run_tocsin("sql", "SELECT count(*) FROM articles", "--format", "csv", "--data", data)
    assert published.stdout.split()[-1] == str(ARTICLES)
