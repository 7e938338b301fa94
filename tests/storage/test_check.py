"""Checks: what is damaged or does not fit is found and named."""

import os
import shutil
import sys
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from care import wrong
from old_histories import write_history

from storage.database import Database
from storage.history_file import PARQUET
from storage.integrity import check_history
from storage.publish import publish


def states(database):
    return {finding.check: finding.state for finding in check_history(database)}


def test_a_whole_history_passes_every_check(history, now):
    assert states(history)["published"] == "note"
    publish(history, now=now)
    found = states(history)
    assert set(found.values()) == {"ok"}
    assert found.keys() == {"live", "schema", "orphans", "doubles", "seen", "published", "files", "views",
                            "counts", "disk"}  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "check", "said"),
    [
        ("DELETE FROM articles WHERE article_id = 7", "orphans", "scores"),
        ("DELETE FROM articles WHERE article_id = 390", "orphans", "1 alerts"),
        ("INSERT INTO story_articles VALUES (8888, 8888, NULL, 'run')", "orphans", "1 story_articles"),
        ("INSERT INTO seen SELECT * FROM seen LIMIT 1", "doubles", "1 seen"),
        ("INSERT INTO scores SELECT * FROM scores WHERE is_newest LIMIT 1", "doubles", "1 newest scores"),
    ],
)
def test_rows_that_do_not_fit_are_found_with_what_to_do(harm, check, said, history):
    with history.write() as con:
        con.execute(harm)
    [finding] = wrong(history)
    assert finding.check == check
    assert said in finding.detail
    assert finding.advice


@pytest.mark.parametrize("harm", ["lost", "cut", "garbled", "moved"])
def test_published_files_that_cannot_be_read_are_found(harm, history, now, tmp_path):
    publish(history, now=now)
    file = next((history.path.parent / PARQUET).glob("articles/*/*.parquet"))
    if harm == "lost":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif harm == "garbled":
        data = bytearray(file.read_bytes())
        data[40:400] = os.urandom(360)
        file.write_bytes(data)
    else:
        history.path.parent.rename(tmp_path / "moved")
        history = Database(tmp_path / "moved" / history.path.name)
    found = wrong(history)
    assert {finding.check for finding in found} == {"published" if harm == "moved" else "files"}
    assert "tocsin publish" in found[0].advice
    publish(history, now=now, full=True)
    assert wrong(history) == []


def test_what_is_not_published_yet_is_a_note(history, now):
    publish(history, now=now)
    with history.write() as con:
        con.execute("DELETE FROM fetches WHERE run_id = 'run-3'")
    finding = next(each for each in check_history(history) if each.check == "counts")
    assert (finding.state, finding.advice) == ("note", "tocsin publish")
    assert "fetches: 400 of 399 rows" in finding.detail


@pytest.mark.duckdb_file("made by hand")
def test_an_older_schema_is_a_note_and_stays_as_it_is(path):
    write_history(path, 3)
    found = {finding.check: finding for finding in check_history(Database(path))}
    assert found["schema"].state == "note"
    assert "tocsin backup" in found["schema"].advice
    with duckdb.connect(path, read_only=True) as con:
        assert con.execute("SELECT max(number) FROM schema_migrations").fetchall() == [(3,)]


@pytest.mark.duckdb_file("its bytes")
def test_a_damaged_live_file_is_found(history):
    data = bytearray(history.path.read_bytes())
    for at in range(3 * 4096, len(data), 262_144):
        data[at + 5000 : at + 5100] = os.urandom(100)
    history.path.write_bytes(data)
    [finding] = wrong(history)
    assert finding.check == "live"
    assert "restore" in finding.advice


def test_a_full_disk_is_found(history, monkeypatch):
    usage = shutil.disk_usage(history.path.parent)._replace(free=1_000_000)
    monkeypatch.setattr("storage.integrity.shutil.disk_usage", lambda _: usage)
    [finding] = wrong(history)
    assert (finding.check, finding.state) == ("disk", "wrong")
