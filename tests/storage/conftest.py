"""Real databases, records to put into them, and other processes that hold the file."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings

sys.path.insert(0, str(Path(__file__).parent))
from lakes import POSTGRES, make_database

from storage.alerts import store_alerts
from storage.articles import store_articles
from storage.database import FILE_NAME, Database
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.place import LAKE_NAME, LakeAddress, bind_lake
from tocsin.types import Alert, Article, Reason, Sighting, StoryTie, Topic

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2025, 1, 27, 12, 0, tzinfo=UTC)

ON_DUCKLAKE = os.environ.get("TOCSIN_TEST_STORAGE") == "ducklake"  # docs/ducklake.md

if ON_DUCKLAKE:  # an example costs a hundred times what it does in memory
    settings.register_profile(
        "ducklake", max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("ducklake")

_HOLD = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("held", flush=True)
sys.stdin.readline()
con.close()
"""


@dataclass
class Child:
    """A process of ours that speaks in lines."""

    process: subprocess.Popen

    def hear(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """Let it go on to its end, and wait for that."""
        self.process.stdin.close()
        self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


def make_lake(folder: Path, lake: Path) -> Path:
    """Bind a data folder to a DuckLake with a SQLite catalog; give the path of its history."""
    bind_lake(folder, LakeAddress("sqlite", str(lake / "catalog.sqlite"), str(lake / "parquet")))
    return folder / LAKE_NAME


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / (LAKE_NAME if ON_DUCKLAKE else FILE_NAME)


@pytest.fixture(params=["sqlite", "postgres"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The path of a history in an empty DuckLake."""
    pytest.importorskip("duckdb_extension_ducklake", reason="needs tocsin[ducklake]")
    catalog = str(tmp_path / "lake" / "catalog.sqlite")
    if request.param == "postgres":
        if POSTGRES is None:
            pytest.skip("TOCSIN_TEST_POSTGRES names no Postgres")
        catalog = f"{POSTGRES} dbname={make_database(tmp_path.name)}"
    address = LakeAddress(request.param, catalog, str(tmp_path / "lake" / "parquet"))
    bind_lake(tmp_path / "local", address)
    return tmp_path / "local" / LAKE_NAME


@pytest.fixture(scope="session")
def place_history() -> Callable[[Path], Path]:
    """Give the path of a new history in a data folder, of the kind that is tested."""

    def place(folder: Path) -> Path:
        return make_lake(folder, folder / "lake") if ON_DUCKLAKE else folder / FILE_NAME

    return place


@pytest.fixture(scope="session")
def _empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    path = make_lake(folder, folder / "lake") if ON_DUCKLAKE else folder / FILE_NAME
    made = Database(path)
    with made.write():
        pass
    made.close()  # Python's SQLite and DuckDB's must not have one catalog open in the same process
    return path


@pytest.fixture
def database(path: Path, _empty_history: Path) -> Database:
    """A history on a file that gives up at once when it is held."""
    path.parent.mkdir()
    if ON_DUCKLAKE:
        _copy_lake(_empty_history.parent, path.parent)
    else:
        shutil.copy(_empty_history, path)
    return Database(path, wait=timedelta(0))


def _copy_lake(template: Path, folder: Path) -> None:
    """Copy an empty DuckLake to beside a data folder; its catalog says where its Parquet files are."""
    lake = folder.parent / "lake"
    make_lake(folder, lake)
    lake.mkdir()
    shutil.copy(template / "lake" / "catalog.sqlite", lake)
    with closing(sqlite3.connect(lake / "catalog.sqlite")) as catalog, catalog:
        place = [f"{lake / 'parquet'}/"]
        catalog.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'data_path'", place)


@pytest.fixture(scope="module")
def _memory(tmp_path_factory: pytest.TempPathFactory) -> Database:
    if ON_DUCKLAKE:
        folder = tmp_path_factory.mktemp("lake")
        return Database(make_lake(folder, folder / "lake"))
    return Database(None)


class _Undo(Exception):
    """Ends a transaction without keeping it."""


@pytest.fixture
def con(_memory: Database) -> Iterator:
    """A transaction on the newest schema in memory, undone after the test."""
    with _undo(_memory) as con:
        yield con


@pytest.fixture(scope="module")
def undone(_memory: Database) -> Callable:
    """For Hypothesis: a transaction on an empty history for each example."""
    return lambda: _undo(_memory)


@contextmanager
def _undo(database: Database) -> Iterator:
    with suppress(_Undo), database.write() as con:
        yield con
        raise _Undo


@pytest.fixture
def start_child() -> Iterator[Callable[..., Child]]:
    """Start a Python script in another process; what is left of it is ended after the test."""
    children = []

    def start(script: str, *arguments: object) -> Child:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(process)
        return Child(process)

    yield start
    for process in children:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def hold(start_child: Callable[..., Child]) -> Callable[..., Child]:
    """Let another process hold a database file, for writing unless told otherwise."""

    def hold(path: Path, mode: str = "write") -> Child:
        child = start_child(_HOLD, path, mode)
        assert child.hear() == "held"
        return child

    return hold


@pytest.fixture(scope="session")
def make_article() -> Callable[..., Article]:
    def make(article_id: int = 1, **changes: object) -> Article:
        article = Article(
            article_id=article_id,
            url=f"https://news.example/{article_id}",
            title=f"Ministry widens chip licences, part {article_id}",
            summary="The rule takes effect in March.",
            outlet="The Example",
            feed_url="https://feeds.example/a",
            published_at=NOW - timedelta(hours=1),
            first_seen_at=NOW,
        )
        return replace(article, **changes)

    return make


@pytest.fixture(scope="session")
def make_sighting() -> Callable[..., Sighting]:
    def make(article_id: int = 1, **changes: object) -> Sighting:
        sighting = Sighting(
            feed_url="https://feeds.example/a",
            article_id=article_id,
            guid=f"guid-{article_id}",
            url=f"https://news.example/{article_id}",
            title=f"Ministry widens chip licences, part {article_id}",
            published_at=None,
            seen_at=NOW,
            is_new=True,
        )
        return replace(sighting, **changes)

    return make


@pytest.fixture(scope="session")
def make_alert() -> Callable[..., Alert]:
    def make(alert_id: str = "alert-1", **changes: object) -> Alert:
        alert = Alert(
            alert_id=alert_id,
            article_id=1,
            channel="#policy",
            title="Ministry widens chip licences",
            url="https://news.example/1",
            outlet="The Example",
            published_at=None,
            decided_at=NOW,
            reasons=(
                Reason("export_controls", 0.91, "Licences are needed from March."),
                Reason("us_china_rivalry", 0.64, "Both capitals commented."),
            ),
        )
        return replace(alert, **changes)

    return make


@pytest.fixture(scope="session")
def make_topic() -> Callable[..., Topic]:
    def make(name: str = "export_controls", **changes: object) -> Topic:
        return Topic(**{"name": name, "description": "Limits on technology that crosses borders.", **changes})

    return make


@pytest.fixture
def history(database, make_article, make_sighting, make_topic, make_alert, now):
    """An article a day for 400 days, every third a match; 390 rang, 391 is labelled."""
    ids = list(range(400))
    articles = [
        make_article(number, first_seen_at=now - number * timedelta(days=1), outlet=f"Outlet {number % 3}")
        for number in ids
    ]
    topic = make_topic("chips")
    values = np.array([[0.9 if number % 3 == 0 else 0.1] for number in ids], np.float32)
    older = make_topic("chips", description="Another one.")
    with database.write() as con:
        record_topics(con, [topic], run_id="run", now=now)
        sightings = [make_sighting(number, seen_at=now - number * timedelta(days=1)) for number in ids]
        store_articles(con, "run", articles=articles, sightings=sightings, keys={n + 1000: n for n in ids})
        store_embeddings(con, "enc", ids, np.eye(400, 384, dtype=np.float32) + 0.01)
        for used, at in ((older, now - 300 * timedelta(days=1)), (topic, now - 299 * timedelta(days=1))):
            store_scores(con, ScoreBlock(ids, ["chips"], [used.version], "enc", ["h"], values), at)
        store_ties(con, "run", [StoryTie(number, number - number % 2) for number in ids])
        store_alerts(
            con,
            "run",
            [make_alert("alert-1", article_id=390, story_id=390, decided_at=now - 390 * timedelta(days=1))],
        )
        con.execute("INSERT INTO labels VALUES (391, 'chips', true, 'U1', now(), '#policy', 'alert-1')")
        con.execute(
            "INSERT INTO fetches (run_id, feed_url, fetched_at, outcome, received_bytes, seconds, entries, "
            "new_articles) SELECT 'run-' || range, 'f', $now - to_days(range::INTEGER), 'new', 1, 1, 1, 1 "
            "FROM range(400)",
            {"now": now},
        )
        con.execute(
            "INSERT INTO decisions SELECT range, 'chips', '#policy', 'run', $now - to_days(range::INTEGER), "
            "'rule', "
            "false, 0.9, 0.5, NULL, 1, range, NULL, NULL, 'v', 'why' FROM range(400)",
            {"now": now},
        )
    return database
