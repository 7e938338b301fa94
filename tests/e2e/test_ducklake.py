"""The first run of `tocsin monitor` on a DuckLake that is not there yet, as a person starts it."""

import pytest

from tocsin.place import LAKE_NAME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_run_makes_the_ducklake_stores_the_news_in_it_and_publishes(run_tocsin, ask, tmp_path):
    pytest.importorskip("duckdb_extension_ducklake", reason="needs tocsin[ducklake]")
    data = tmp_path / "local"
    url = f"ducklake:sqlite:{tmp_path}/catalog.sqlite?data={tmp_path}/parquet&local={data}"
    done = run_tocsin("monitor", timeout=800, TOCSIN_DATA=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (data / LAKE_NAME).exists()
    assert not (data / "tocsin.duckdb").exists()
    [stored] = ask(data, "SELECT count(*) AS n, count(DISTINCT article_id) AS ids FROM articles")
    assert stored["n"] == stored["ids"] > 50
    published = run_tocsin("sql", "SELECT count(*) FROM articles", "--format", "csv", "--data", data)
    assert published.stdout.split()[-1] == str(stored["n"])
    assert list((tmp_path / "parquet").rglob("*.parquet"))
