"""Rescoring: all history gets the scores that runs would have given, older ones stay, nobody is alerted."""

import json
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from flows import rescoring
from flows.rescoring import RescoreRequest, rescore_history
from models.encode import load_encoder
from models.heads import build_heads
from models.text import compose_text
from models.topics import default_topics
from storage import rescore as stored
from storage import scores
from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.history_file import read_published
from storage.marks import marked_months
from storage.publish import publish
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.topics import newest_topics, record_topics
from tocsin.cli.rescore import rescore as command
from tocsin.errors import StorageError, TopicError
from tocsin.types import Article, Topic

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CABLES = Topic(
    name="undersea_cables",
    description="Damage to, building of and rules for undersea telecommunication cables.",
    examples=("Baltic states investigate second cut cable in a month",),
    threshold=0.3,
)
TEXTS = (
    ("Second undersea cable in the Baltic cut within a month", "Investigators look at a ship's anchor."),
    ("Data cable between Finland and Germany severed", "Telecommunication goes by other undersea cables."),
    ("Village fair opens with a tug of war", "Cakes were judged in the tent."),
    ("Striker signs for two more years", "The club did not say what he will earn."),
    ("New rules for repair ships of subsea telecom cables", "Licences are granted in a week."),
    ("Rain expected over the weekend", "Sunday will be dry in the south."),
)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


@pytest.fixture
def db(tmp_path, encoder):
    """A history of six articles, one a month, embedded and scored for another topic, small slices."""
    articles = [
        Article(10 + number, None, title, summary, "One", "f", None, NOW - timedelta(days=31 * number), "en")
        for number, (title, summary) in enumerate(TEXTS)
    ]
    db = Database(history_path(tmp_path / "data"))
    other = Topic(name="sport", description="Anything about sport.")
    ids = [article.article_id for article in articles]
    vectors = encoder.embed([compose_text(*texts) for texts in TEXTS])
    with db.write() as con:
        record_topics(con, [other], run_id="run", now=NOW)
        store_articles(con, "run", articles=articles, sightings=[], keys={})
        store_embeddings(con, encoder.revision, ids, vectors)
        block = ScoreBlock(
            ids, ["sport"], [other.version], encoder.revision, ["h"], np.full((6, 1), 0.2, np.float32)
        )
        store_scores(con, block, NOW)
    return db


@pytest.fixture
def again(db, encoder):
    """Rescore, with a model that refuses to embed an article, and give the report."""

    class NoArticles:
        revision, dimensions, languages = encoder.revision, encoder.dimensions, encoder.languages

        def embed(self, texts, *, progress=None):
            assert not {compose_text(*each) for each in TEXTS} & set(texts)
            return encoder.embed(texts)

    def again(*topics, **asked):
        request = RescoreRequest(topics or None, **asked)
        return rescore_history(db, request, load_encoder=NoArticles, run_id="again", clock=lambda: NOW)

    return again


def rows(db, query, *values):
    with db.read() as con:
        return con.execute(query, *values).fetchall()


def in_use(db, topic="undersea_cables"):
    found = rows(
        db,
        "SELECT article_id, topic_version, head, score FROM scores WHERE is_newest AND topic = ?",
        [topic],
    )
    return {article: (version, head, score) for article, version, head, score in found}


def test_a_new_topic_gets_the_scores_that_a_run_would_have_given(db, again, encoder):
    report = again(CABLES)
    assert (report.articles, report.added, report.left_out) == (6, 6, {})
    texts = [compose_text(*each) for each in TEXTS]
    wanted = build_heads([CABLES], encoder).score(encoder.embed(texts), texts)[:, 0]
    found = in_use(db)
    assert {10, 11, 14} <= {article for article, (_, _, score) in found.items() if score >= 0.3}
    for number, value in enumerate(wanted):
        version, head, score = found[10 + number]
        assert version == CABLES.version
        if head.endswith(stored.BY_VECTOR):
            assert score < 0.3 > value
        else:
            assert score == pytest.approx(value, abs=1e-5)
    assert report.texts == sum(not head.endswith(stored.BY_VECTOR) for _, head, _ in found.values()) < 6
    days = rows(
        db, "SELECT count(*) FROM scores JOIN articles USING (article_id) WHERE day = first_seen_at::DATE"
    )
    assert days == [(12,)]


def test_it_is_published_with_the_topic_and_rings_nobody(db, again):
    again(CABLES)
    with read_published(db.path.parent) as con:
        assert con.execute("SELECT count(*) FROM matches WHERE topic = 'undersea_cables'").fetchall() == [
            (3,)
        ]
        assert con.execute(
            "SELECT sum(articles) FROM topic_daily WHERE topic = 'undersea_cables'"
        ).fetchall() == [(6,)]
    for table in ("alerts", "decisions", "deliveries"):
        assert rows(db, f"SELECT count(*) FROM {table}") == [(0,)]
    assert rows(db, "SELECT flow, state FROM runs") == [("rescore", "completed")]


def test_once_more_adds_nothing_and_changes_nothing(db, again):
    again(CABLES)
    before = rows(db, "FROM scores ORDER BY ALL")
    assert again(CABLES).added == 0
    assert rows(db, "FROM scores ORDER BY ALL") == before
    with db.read() as con:
        assert marked_months(con, after=0)[1] == {}


def test_a_changed_topic_keeps_its_old_scores_and_its_months_are_published_again(db, again):
    again(CABLES)
    changed = CABLES.model_copy(update={"description": "Cables on the sea bed, and who cuts them."})
    assert again(changed).added == 6
    assert rows(
        db,
        "SELECT topic_version, count(*), sum(is_newest::INT) FROM scores WHERE topic = ? "
        "GROUP BY 1 ORDER BY 3",
        [CABLES.name],
    ) == [(CABLES.version, 6, 0), (changed.version, 6, 6)]  # fmt: skip
    with db.read() as con:
        assert marked_months(con, after=0)[1] == {
            "scores": {"2026-11", "2026-10", "2026-09", "2026-08", "2026-07", "2026-06"}
        }
    with read_published(db.path.parent) as con:
        assert con.execute("SELECT DISTINCT topic_version FROM matches").fetchall() == [(changed.version,)]
    assert again(CABLES).added == 0  # back to the older definition: its scores are there
    assert {version for version, _, _ in in_use(db).values()} == {CABLES.version}


def test_words_come_to_what_was_scored_by_vectors_alone_and_never_go(db, again):
    assert again(CABLES, by_vectors=True).texts == 0
    assert all(head.endswith(stored.BY_VECTOR) for _, head, _ in in_use(db).values())
    better = again(CABLES)
    assert 0 < better.added == better.texts < 6
    kept = in_use(db)
    assert again(CABLES, by_vectors=True).added == 0
    assert in_use(db) == kept


def test_the_score_of_a_second_opinion_stays_in_use(db, again, encoder):
    again(CABLES)
    [head] = {head for _, head, _ in in_use(db).values() if not head.endswith(stored.BY_VECTOR)}
    block = ScoreBlock(
        [10],
        [CABLES.name],
        [CABLES.version],
        encoder.revision,
        [f"{head}+nli-1"],
        np.array([[0.01]], np.float32),
    )
    with db.write() as con:
        store_scores(con, block, NOW + timedelta(hours=1))
    assert again(CABLES).added == 0
    assert in_use(db)[10] == (CABLES.version, f"{head}+nli-1", pytest.approx(0.01))


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from flows import rescoring
from flows.rescoring import RescoreRequest, rescore_history
from models.encode import load_encoder
from storage import rescore as stored
from storage import scores
from storage.database import Database
from tocsin.types import Topic

stored.SLICE, rescoring.TURN = 2, 0
add, calls = stored.add_scores, []

def die_in_the_second_transaction(*arguments, **others):
    added = add(*arguments, **others)
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return added

stored.add_scores = die_in_the_second_transaction
rescore_history(
    Database(Path(sys.argv[1])), RescoreRequest((Topic.model_validate_json(sys.argv[2]),)),
    load_encoder=load_encoder, run_id="killed", clock=lambda: datetime.now(UTC),
)
"""


def test_killed_between_two_slices_the_same_call_completes_the_work(db, again):
    command = [sys.executable, "-c", _KILLED, str(db.path), CABLES.model_dump_json()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(in_use(db)) == 2
    assert again(CABLES).added == 4
    assert len(in_use(db)) == 6
    assert rows(db, "SELECT run_id, state FROM runs ORDER BY 1") == [
        ("again", "completed"),
        ("killed", "abandoned"),
    ]


def test_what_went_wrong_while_storing_is_what_is_said_and_nothing_is_stored_by_halves(
    db, again, monkeypatch
):
    store, calls = stored.add_scores, []

    def fail_the_second_time(*arguments, **others):
        calls.append(1)
        if len(calls) == 2:
            raise StorageError("The disk is full")
        return store(*arguments, **others)

    monkeypatch.setattr(stored, "add_scores", fail_the_second_time)
    two = CABLES, CABLES.model_copy(update={"name": "apart"})
    with pytest.raises(StorageError, match="The disk is full"):
        again(*two)
    assert len(calls) == 2
    assert in_use(db) == {}
    assert again(*two).added == 12


def test_slices_in_one_transaction_or_each_in_its_own_give_the_same(db, again, monkeypatch):
    monkeypatch.setattr(stored, "SLICE", 2)
    again(CABLES)
    together = in_use(db)
    monkeypatch.setattr(rescoring, "TURN", 0)
    monkeypatch.setattr(scores, "PIECE", 1)
    again(CABLES.model_copy(update={"name": "apart"}))
    apart = in_use(db, "apart")
    assert [score for _, _, score in map(together.get, sorted(together))] == pytest.approx(
        [score for _, _, score in map(apart.get, sorted(apart))], abs=0.02
    )
    assert together.keys() == apart.keys()
    assert again(CABLES.model_copy(update={"name": "apart"})).added == 0


def test_articles_of_another_encoder_are_left_out_and_named(db, again, encoder):
    strangers = [Article(number, None, f"T{number}", "", "One", "f", None, NOW, "en") for number in (1, 2, 3)]
    with db.write() as con:
        store_articles(con, "run", articles=strangers, sightings=[], keys={})
        store_embeddings(con, "older", [1, 2], np.eye(2, 384, dtype=np.float32))
        store_embeddings(con, "older", [10], np.eye(1, 384, dtype=np.float32))
    report = again(CABLES)
    assert (report.articles, report.added, report.left_out) == (6, 6, {"older": 2, "": 1})
    assert not {1, 2, 3} & set(in_use(db))


def test_duckdb_may_hold_as_much_after_a_slice_as_before_also_when_nobody_read_it_to_its_end(
    db, encoder, monkeypatch
):
    monkeypatch.setattr(scores, "PIECE", 2)

    with db.write() as con, con.cursor() as other:

        def limit():
            return other.execute("SELECT current_setting('memory_limit')").fetchall()

        before = limit()
        [rows] = stored.list_slices(con, since=None)
        pieces = stored.read_slice(con, encoder.revision, rows)
        next(pieces)
        assert limit() != before
        pieces.close()
        assert limit() == before
        assert sum(len(piece.vectors) for piece in stored.read_slice(con, encoder.revision, rows)) == 6
        assert limit() == before


def test_a_span_of_days_and_some_topics_can_be_chosen(db, again):
    ships = CABLES.model_copy(update={"name": "ships"})
    report = again(CABLES, ships, names=("ships",), since=date(2026, 9, 1))
    assert (report.topics, report.articles, report.added) == (["ships"], 3, 3)
    with db.read() as con:
        assert [topic.name for topic in newest_topics(con)] == ["undersea_cables", "ships"]
    with pytest.raises(TopicError, match="cables is not in use: choose among ships, undersea_cables"):
        again(names=("cables",))


def test_fitted_topics_are_always_given_the_text(db, again, encoder):
    fitted = default_topics()[:2]
    report = again(*fitted)
    assert report.texts == 6
    texts = [compose_text(*each) for each in TEXTS]
    wanted = build_heads(fitted, encoder).score_plainly(encoder.embed(texts), texts)
    for column, topic in enumerate(fitted):
        found = in_use(db, topic.name)
        assert [found[10 + n][2] for n in range(6)] == pytest.approx(wanted[:, column].tolist(), abs=1e-5)


def test_a_publication_that_fails_is_reported(db, again, monkeypatch):
    def fail(*_, **__):
        raise StorageError("The disk is full")

    monkeypatch.setattr(rescoring, "publish", fail)
    report = again(CABLES)
    assert (report.added, report.publish_error) == (6, "The disk is full")


def test_without_a_history_there_is_nothing_to_rescore(tmp_path):
    with pytest.raises(StorageError, match="no history yet"):
        rescore_history(
            Database(tmp_path / "none.duckdb"), RescoreRequest(), load_encoder=load_encoder, run_id="r",
            clock=lambda: NOW,
        )  # fmt: skip


def test_the_command_and_the_flow_do_the_same_work(db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topics.json").write_text(json.dumps([CABLES.model_dump(mode="json")]), encoding="utf-8")
    said = CliRunner().invoke(command, ["--topics", "topics.json", "--json"], catch_exceptions=False).output
    assert json.loads(said)["added"] == 6
    said = (
        CliRunner()
        .invoke(command, ["--topic", CABLES.name, "--since", "3650d"], catch_exceptions=False)
        .output
    )
    assert "1 topics on 6 articles: 0 scores added" in said
    from flows.rescore import rescore as flow

    assert flow.fn(topics=[replace_name(CABLES)])["added"] == 6


def replace_name(topic):
    return topic.model_copy(update={"name": "cables"})


def test_embeddings_are_published_by_month_with_their_direction(db, encoder):
    publish(db, now=NOW)
    with read_published(db.path.parent) as con:
        found = con.execute("SELECT article_id, day, embedding FROM embeddings ORDER BY 1").fetchall()
        parts = con.execute(
            "SELECT DISTINCT part FROM publication.files WHERE relation = 'embeddings'"
        ).fetchall()
    exact = encoder.embed([compose_text(*texts) for texts in TEXTS])
    rounded = np.array([row[2] for row in found], np.float32)
    assert np.abs(rounded).max(axis=1).tolist() == [127] * 6
    cosines = (rounded * exact).sum(axis=1) / np.linalg.norm(rounded, axis=1)
    assert cosines.min() > 0.9995
    assert len(parts) == 6
