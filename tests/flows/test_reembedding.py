"""Another encoder for all history: each article once, newest first, runs between, nothing lost to a kill."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from flows import reembedding
from flows.reembedding import Place, ReembedRequest, reembed_history
from flows.rescoring import RescoreRequest, rescore_history
from models.encode import load_encoder
from models.text import compose_text
from storage import reembed as stored
from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.history_file import read_published
from storage.publish import publish
from storage.runs import finish_run, start_run
from storage.scores import store_embeddings
from storage.topics import record_topics
from tocsin.cli.reembed import reembed as command
from tocsin.errors import StorageError
from tocsin.types import Article, Topic

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPIC = Topic(name="cables", description="Undersea telecommunication cables.", threshold=0.3)
TITLES = tuple(f"Undersea cable number {number} was repaired" for number in range(7))


class Other:
    """An encoder of another revision that knows English and German, and remembers what it was asked."""

    revision, dimensions, languages = "other-1", 384, frozenset({"en", "de"})

    def __init__(self):
        self.asked = []

    def embed(self, texts, *, progress=None):
        del progress
        self.asked.extend(texts)
        return np.array([unit(text) for text in texts], np.float32)


def unit(text):
    vector = np.random.default_rng(len(text)).normal(size=384)
    return vector / np.linalg.norm(vector)


@pytest.fixture
def db(tmp_path):
    """A history of six English articles, one a month, the newest first, and a French one, all embedded."""
    articles = [
        Article(
            10 + number, None, title, "", "One", "f", None, NOW - timedelta(days=31 * number),
            "fr" if number == 6 else "en",
        )
        for number, title in enumerate(TITLES)
    ]  # fmt: skip
    db = Database(history_path(tmp_path / "data"))
    ids = [article.article_id for article in articles]
    with db.write() as con:
        record_topics(con, [TOPIC], run_id="run", now=NOW)
        store_articles(con, "run", articles=articles, sightings=[], keys={})
        store_embeddings(con, "older", ids, np.array([unit(title) for title in TITLES], np.float32))
    return db


@pytest.fixture
def place(db):
    return Place(db, contextlib.nullcontext)


def again(place, encoder, **asked):
    return reembed_history(place, encoder, ReembedRequest(**asked), run_id="again", clock=lambda: NOW)


def count(db):
    with db.read() as con:
        return stored.count_embedded(con)


def test_articles_of_covered_languages_are_embedded_by_the_text_that_a_run_embeds(db, place):
    other = Other()
    report = again(place, other)
    assert (report.embedded, report.left, report.uncovered) == (6, 0, 1)
    assert other.asked == [compose_text(title, "") for title in TITLES[:6]]
    assert report.stored == count(db) == {"older": 7, "other-1": 6}


def test_once_more_it_does_nothing(place):
    again(place, Other())
    other = Other()
    assert (again(place, other).embedded, other.asked) == (0, [])


def test_the_newest_articles_come_first_and_the_rest_is_counted(place):
    other = Other()
    report = again(place, other, most=2)
    assert (report.embedded, report.left) == (2, 4)
    assert other.asked == [compose_text(title, "") for title in TITLES[:2]]


def test_only_articles_since_a_day_are_embedded(place):
    report = again(place, Other(), since=(NOW - timedelta(days=40)).date())
    assert (report.embedded, report.left, report.uncovered) == (2, 0, 0)


def test_what_was_done_before_a_kill_stays_and_is_not_done_again(db, place, monkeypatch):
    monkeypatch.setattr(reembedding, "PIECE", 2)

    class Dying(Other):
        def embed(self, texts, *, progress=None):
            if self.asked:
                raise KeyboardInterrupt
            return super().embed(texts, progress=progress)

    with pytest.raises(KeyboardInterrupt):
        again(place, Dying())
    assert count(db)["other-1"] == 2
    other = Other()
    assert (again(place, other).embedded, len(other.asked)) == (4, 4)


def test_runs_may_work_between_two_pieces_and_are_not_called_abandoned(db, monkeypatch):
    monkeypatch.setattr(reembedding, "PIECE", 3)
    folder = db.path.parent

    class Beside(Other):
        """While this embeds, a run begins, or ends."""

        def embed(self, texts, *, progress=None):
            with lock_data_folder(folder, wait=timedelta(0)), db.write() as con:
                if self.asked:
                    finish_run(con, "run beside", "completed", report={}, now=NOW)
                else:
                    start_run(con, "run beside", "monitor", now=NOW)
            return super().embed(texts, progress=progress)

    again(Place(db, lambda: lock_data_folder(folder)), Beside())
    with db.read() as con:
        found = con.execute("SELECT run_id, flow, state FROM runs ORDER BY run_id").fetchall()
    assert found == [("again", "reembed", "completed"), ("run beside", "monitor", "completed")]


def test_an_article_that_was_pruned_meanwhile_gets_no_vector(db, place):
    class Slow(Other):
        def embed(self, texts, *, progress=None):
            with db.write() as con:
                con.execute("DELETE FROM articles WHERE article_id = 11")
            return super().embed(texts, progress=progress)

    assert again(place, Slow()).embedded == 5
    with db.read() as con:
        of_other = con.execute("SELECT day FROM embeddings WHERE encoder_revision = 'other-1'").fetchall()
    assert len(of_other) == 5
    assert None not in {day for (day,) in of_other}


def test_embeddings_of_other_encoders_go_when_asked_and_all_is_done(db, place):
    assert again(place, Other(), most=2, drop_others=True).dropped == 0
    report = again(place, Other(), drop_others=True)
    assert report.dropped == 6
    assert count(db) == {"older": 1, "other-1": 6}  # the French one has no other


def test_readers_of_the_published_history_see_what_was_added_and_what_went(db, place):
    publish(db, now=NOW)
    again(place, Other())
    again(place, Other(), drop_others=True)  # adds nothing, so that only what went is published
    with read_published(db.path.parent) as con:
        found = con.sql("SELECT encoder_revision, count(*) FROM embeddings GROUP BY 1 ORDER BY 1").fetchall()
    assert found == [("older", 1), ("other-1", 6)]


def test_a_history_embedded_anew_can_be_rescored_as_a_whole(db, place):
    encoder = load_encoder()

    def rescore():
        return rescore_history(
            db, RescoreRequest(), load_encoder=lambda: encoder, run_id="rescore", clock=lambda: NOW
        )

    assert (rescore().articles, rescore().left_out) == (0, {"older": 7})
    again(place, encoder)
    after = rescore()
    assert (after.articles, after.left_out) == (6, {"older": 1})
    with db.read() as con:
        found = con.execute("SELECT min(score) FROM scores WHERE is_newest AND topic = 'cables'").fetchone()
    assert found[0] > 0.3


def test_a_folder_without_a_history_is_refused(tmp_path):
    nowhere = Place(Database(history_path(tmp_path / "none")), contextlib.nullcontext)
    with pytest.raises(StorageError, match="none"):
        again(nowhere, Other())


def test_the_command_says_what_was_done_and_what_to_do_next(db):
    options = ["--data", str(db.path.parent)]
    result = CliRunner().invoke(command, [*options, "--limit", "4"], catch_exceptions=False)
    assert "4 articles embedded by minilm" in result.output
    assert "2 articles left" in result.output
    assert "tocsin rescore" in result.output
    result = CliRunner().invoke(command, [*options, "--json"], catch_exceptions=False)
    told = json.loads(result.output)
    assert (told["embedded"], told["left"], told["uncovered"]) == (2, 0, 1)


def test_the_command_refuses_an_encoder_that_is_not_there(db):
    result = CliRunner().invoke(command, ["--data", str(db.path.parent), "--encoder", "nowhere"])
    assert result.exit_code == 1
    assert "TOCSIN_ENCODER: nowhere is neither a folder" in str(result.exception)
