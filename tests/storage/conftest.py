"""Real databases, records to put into them, and other processes that hold the file."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.database import FILE_NAME, Database
from tocsin.types import Alert, Article, Reason, Sighting, Topic

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2025, 1, 27, 12, 0, tzinfo=UTC)

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE_NAME


@pytest.fixture(scope="session")
def _empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / FILE_NAME
    with Database(path).write():
        pass
    return path


@pytest.fixture
def database(path: Path, _empty_history: Path) -> Database:
    """A history on a file that gives up at once when it is held."""
    path.parent.mkdir()
    shutil.copy(_empty_history, path)
    return Database(path, wait=timedelta(0))


@pytest.fixture(scope="module")
def _memory() -> Database:
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
