"""Every command says of a history in DuckLake what it says of the same history in a DuckDB file."""

import json
import re
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from invented_news import invent_news

from models.encode import load_encoder
from storage.database import Database
from storage.folder import history_path
from storage.move import move_history
from storage.publish import publish
from storage.scores import store_embeddings
from tocsin.cli import cli
from tocsin.place import LakeAddress, bind_lake

NOW = datetime.now(UTC)
# When, how long and how large: two calls on one history differ in it too.
PASSING = {
    "run_id",
    "generation",
    "seconds",
    "published_at",
    "made_at",
    "days",
    "per_day",
    "bytes",
    "bytes_before",
    "bytes_after",
}
PASSING_TEXT = re.compile(r"generation \d+|[\d.,]+ (?:s|seconds|bytes|kB|MB|GB)\b|\d\d:\d\d:\d\d(?:\.\d+)?")
PASSING_METRIC = re.compile(r"^(\w+_(?:bytes|seconds|timestamp)\S*) .*$", re.MULTILINE)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Two data folders with the same history: in a file, and in a DuckLake with a SQLite catalog."""
    pytest.importorskip("duckdb_extension_ducklake", reason="needs tocsin[ducklake]")
    file, lake = (tmp_path_factory.mktemp(name) / "data" for name in ("file", "lake"))
    database, encoder = invent_news(file, now=NOW, days=130, a_day=1), load_encoder()
    with database.write() as con:
        rows = con.execute("SELECT article_id, title FROM articles ORDER BY ALL").fetchall()
        vectors = encoder.embed([title for _, title in rows])
        store_embeddings(con, encoder.revision, [number for number, _ in rows], vectors)
    parts = lake.with_name("lake")
    bind_lake(lake, LakeAddress("sqlite", str(parts / "catalog.sqlite"), str(parts / "parquet")))
    move_history(history_path(file), history_path(lake))
    for folder in (file, lake):
        publish(Database(history_path(folder)), now=NOW)
        (folder / "answers.csv").write_text("article,answer\na3,yes\na4,no\n", "utf-8")
    return file, lake


def say(folder, *arguments):
    """Run a command; give its exit code and what it said, without what passes."""
    arguments = [each.replace("DATA", str(folder)) for each in arguments]
    done = CliRunner().invoke(cli, arguments, env={"TOCSIN_DATA": str(folder)}, catch_exceptions=False)
    said = done.output.replace(str(folder), "DATA").replace("lake.url", "tocsin.duckdb")
    try:
        return done.exit_code, without_passing(json.loads(said))
    except ValueError:
        return done.exit_code, without_passing(PASSING_METRIC.sub(r"\1", said))


def without_passing(said):
    if isinstance(said, dict):
        passing = PASSING | ({"detail"} if said.get("check") == "disk" else set())  # what the history takes
        return {name: without_passing(each) for name, each in said.items() if name not in passing}
    if isinstance(said, list):
        return [without_passing(each) for each in said]
    if isinstance(said, float):
        return round(said, 9)  # sums of the same, in another order
    return PASSING_TEXT.sub("…", said) if isinstance(said, str) else said


READING = [
    (
        "sql",
        "--json",
        "SELECT topic, count(*) AS n, max(score) AS best FROM matches GROUP BY ALL ORDER BY ALL",
    ),
    ("sql", "--json", "--live", "FROM topic_daily ORDER BY ALL"),
    ("sql", "--json", "--live", "SELECT * FROM stories ORDER BY ALL LIMIT 20"),
    ("sql", "--json", "--live", "SELECT min(article_id), max(first_seen_at), count(*) FROM articles"),
    ("status", "--json"),
    ("status", "--metrics"),
    ("trends", "--json", "--since", "30d"),
    ("search", "licence list of the ministry", "--json"),
    ("search", "licence", "--mode", "words", "--json"),
    ("report", "--html", "DATA/page.html"),
    ("drift", "--json"),
    ("check", "--json"),
    ("topics", "list", "--json"),
    ("topics", "history", "--json"),
    ("topics", "show", "export_controls"),
    ("feeds", "list", "--all", "--json"),
    ("feeds", "health", "--json"),
    ("why", "3", "--json"),
    ("digest", "--weekly", "--dry-run"),
    ("preview", "--topic", "export_controls", "--set", "threshold=0.4", "--json"),
    ("prune", "--older-than", "100d", "--dry-run", "--json"),
    ("learn", "export_controls", "--dry-run", "--json"),
    ("label", "export_controls", "--limit", "5", "--export", "DATA/asked.csv"),
    ("export", "DATA/articles.jsonl"),
    ("export", "DATA/matches.csv", "--what", "matches"),
]
WRITING = [
    ("export", "DATA/articles.jsonl"),
    ("topics", "set", "export_controls", "threshold=0.4"),
    ("feeds", "add", "https://feeds.example/new"),
    ("feeds", "list", "--json"),
    ("feeds", "remove", "https://feeds.example/new"),
    ("rescore", "--topic", "export_controls", "--json"),
    ("rescore", "--json", "--by-vectors"),
    ("reembed", "--json", "--drop-others"),
    ("import", "DATA/articles.jsonl", "--json"),
    ("label", "export_controls", "--import", "DATA/answers.csv"),
    ("learn", "export_controls", "--json"),
    ("publish", "--json"),
    ("backup", "DATA/kept.backup", "--json"),
    ("prune", "--older-than", "100d", "--json"),
    ("publish", "--full", "--json"),
    ("check", "--json"),
    (
        "sql",
        "--json",
        "--live",
        "SELECT topic, count(*), round(sum(score), 4) FROM scores GROUP BY ALL ORDER BY ALL",
    ),
    ("sql", "--json", "SELECT count(*), min(article_id) FROM articles"),
    ("trends", "--json"),
    ("status", "--json"),
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_command_that_reads_says_the_same(arguments, places):
    file, lake = (say(folder, *arguments) for folder in places)
    assert file == lake


def test_commands_that_write_do_the_same_one_after_the_other(places):
    for arguments in WRITING:
        file, lake = (say(folder, *arguments) for folder in places)
        assert file == lake, arguments
