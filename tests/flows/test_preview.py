"""A preview says what a change would have sent, from what is stored, and changes nothing."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from flows.past_scores import Side, score_past
from flows.preview_topics import PreviewRequest, preview_topics
from models.encode import load_encoder
from models.heads import build_heads
from models.text import compose_text
from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.cli.preview import preview
from tocsin.errors import StorageError
from tocsin.settings import load_settings
from tocsin.types import Article, StoryTie, Topic

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CABLES = Topic(
    name="cables",
    description="Damage to undersea cables, sabotage of them, and the ships that repair them.",
    examples=("Ship drags anchor over cable", "Cable cut in the Baltic was sabotage"),
)
NEWS = [
    ("Undersea cable cut off the coast, sabotage suspected", "Repair ships are on their way."),
    ("Second subsea cable damaged within a week", "Investigators look at an anchor."),
    ("Cable repair ship delayed by storms", "Islands stay offline."),
    ("Football club signs a striker", "The fee was not disclosed."),
    ("Bakers win a prize for rye bread", "The jury praised the crust."),
    ("New tram line opens in the old town", "It runs every ten minutes."),
]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A history of six articles a day for ten days, scored and embedded for one topic as runs do."""
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder()
    texts = [compose_text(*each) for each in NEWS]
    vectors = encoder.embed(texts)
    heads = build_heads([CABLES], encoder)
    values = heads.score(vectors, texts)
    with Database(history_path(tmp_path / "data")).write() as con:
        record_topics(con, [CABLES], run_id="run", now=NOW)
        for day in range(10):
            made = [
                Article(
                    day * 10 + n, None, f"{title}", summary, "The Example", "feed", None,
                    NOW - timedelta(days=day, hours=1), "en",
                )
                for n, (title, summary) in enumerate(NEWS)
            ]  # fmt: skip
            ids = [article.article_id for article in made]
            store_articles(con, "run", articles=made, sightings=[], keys={})
            store_embeddings(con, encoder.revision, ids, vectors)
            block = ScoreBlock(ids, ["cables"], [CABLES.version], encoder.revision, heads.names, values)
            store_scores(con, block, NOW)
            store_ties(con, "run", [StoryTie(day * 10 + 1, day * 10, 0.9)])
    return load_settings(data=tmp_path / "data")


def foresee(settings, *topics, **changes):
    return preview_topics(settings, PreviewRequest(topics or None, **changes), now=NOW)


def digest(settings):
    return hashlib.sha256(history_path(settings.data).read_bytes()).hexdigest()


def test_the_topics_in_use_are_shown_as_they_are_and_nothing_is_written(settings):
    before = digest(settings)
    (found,) = foresee(settings)
    assert digest(settings) == before
    assert (found.before, found.changes, found.from_scores, found.articles) == (
        found.after,
        "nothing",
        True,
        60,
    )
    assert found.gained == found.lost == ()
    assert found.kept == found.after.alerts > 0
    assert [old for old, _ in found.by_day.values()] == [new for _, new in found.by_day.values()]
    assert len(found.by_day) == 10  # there is no history before


def test_copies_of_a_story_are_one_alert(settings):
    (found,) = foresee(settings, CABLES.model_copy(update={"threshold": 0.0}))
    assert found.after.alerts == 50  # of 60 articles, two a day tell one event


def test_a_changed_threshold_is_judged_by_the_scores_that_runs_stored(settings):
    (found,) = foresee(settings, CABLES.model_copy(update={"threshold": 1.0}), per_day=1.0)
    assert found.from_scores
    assert found.read == 0
    assert found.after.alerts == 0
    assert len(found.lost) == found.before.alerts
    assert {each.why for each in found.lost} == {"below_threshold"}
    assert found.changes == "threshold empty → 1.0"
    assert found.suggestion.per_day == pytest.approx(1.0, abs=0.1)
    assert all(each.score < 1.0 for each in found.below)


def test_phrases_are_looked_for_in_the_texts_of_the_past(settings):
    (found,) = foresee(settings, CABLES.model_copy(update={"must": ("look at an anchor",)}))
    assert found.from_scores
    assert found.kept == 10
    assert {each.why for each in found.lost} == {"lacks_phrase"}
    assert {each.title for each in found.lost} == {NEWS[2][0]}


def test_a_changed_definition_is_scored_from_vectors_and_texts_as_a_run_would(settings):
    bread = CABLES.model_copy(
        update={"description": "Bread, bakers, rye and what wins prizes for its crust.", "examples": ()}
    )
    (found,) = foresee(settings, bread)
    assert not found.from_scores
    assert found.read == 60
    assert {each.title for each in found.gained} == {"Bakers win a prize for rye bread"}
    assert {each.title for each in found.lost}.isdisjoint(each.title for each in found.gained)
    encoder = load_encoder()
    text = compose_text(*NEWS[4])
    expected = build_heads([bread], encoder).score(encoder.embed([text]), [text])[0, 0]
    assert found.gained[0].score == pytest.approx(float(expected), abs=1e-5)


def test_a_new_topic_has_nothing_beside_it(settings):
    new = Topic(name="trams", description="Tram lines that open in towns and how often they run.")
    (found,) = foresee(settings, new, days=5)
    assert found.before is None
    assert {old for old, _ in found.by_day.values()} == {None}
    assert len(found.by_day) == 5
    assert found.lost == ()
    assert "A new topic" in found.to_markdown()


def test_first_polls_are_left_out_unless_they_are_asked_for(settings):
    with Database(history_path(settings.data)).write() as con:
        con.execute("INSERT INTO feeds (url, failures, baseline_at) VALUES ('feed', 0, ?)", [NOW])
    assert foresee(settings)[0].after.alerts == 0
    assert {each.why for each in foresee(settings)[0].above} == {"baseline"}
    assert foresee(settings, baseline=False)[0].after.alerts > 0


def test_scores_of_other_definitions_are_not_taken_for_those_of_this_one(settings):
    other = CABLES.model_copy(update={"description": "Bread, bakers, rye and the crust of it."})
    db = Database(history_path(settings.data))
    known = {(CABLES.name, CABLES.version): CABLES}
    past = score_past(db, settings, [Side(other, CABLES)], since=NOW - timedelta(days=30), known=known)
    assert past.is_stored(CABLES)
    assert not past.is_stored(other)
    assert not np.isnan(past.scores_of(other)).any()


def ask(*arguments):
    result = CliRunner().invoke(preview, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def recent(settings):
    """The same past, moved so that it ends now: the command's clock is the machine's."""
    with Database(history_path(settings.data)).write() as con:
        moved = "first_seen_at + (now() - CAST(? AS TIMESTAMPTZ))"
        con.execute(f"UPDATE articles SET first_seen_at = {moved}", [NOW])
        con.execute("UPDATE scores SET day = current_date")
    return settings


@pytest.mark.usefixtures("recent")
def test_the_command_shows_counts_bars_and_articles():
    said = ask("--topic", "cables", "--set", "threshold=0.999", "--per-day", "2")
    for part in ("threshold empty → 0.999", "░", "Lost (", "About 2 a day", "stored scores of 60 articles"):
        assert part in said
    (found,) = json.loads(ask("--topic", "cables", "--set", "threshold=0.999", "--json"))
    assert found["before"]["alerts"] > found["after"]["alerts"]
    assert {"day", "before", "after"} == set(found["by_day"][0])


@pytest.mark.usefixtures("recent")
def test_the_command_takes_a_file_or_a_topic_and_not_both(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps([CABLES.model_dump(mode="json")]), encoding="utf-8")
    assert json.loads(ask("--topics", "mine.json", "--json"))[0]["gained"] == []
    for wrong in (["--topics", "mine.json", "--topic", "cables"], ["--set", "threshold=0.1"]):
        assert CliRunner().invoke(preview, wrong).exit_code == 2


@pytest.mark.usefixtures("recent")
def test_the_flow_leaves_a_page_and_tables(settings, monkeypatch):
    from flows import preview as module

    left = {}

    def keep(key, description, **content):
        left[key] = content

    monkeypatch.setattr(module, "create_markdown_artifact", keep)
    monkeypatch.setattr(module, "create_table_artifact", keep)
    (found,) = module.preview.fn(topics=[CABLES.model_copy(update={"threshold": 1.0})], data=settings.data)
    assert set(left) == {f"preview-cables{part}" for part in ("", "-days", "-gained", "-lost")}
    assert len(left["preview-cables-lost"]["table"]) == len(found["lost"]) > 0
    assert "░" in left["preview-cables"]["markdown"]


def test_without_a_history_it_says_how_to_get_one(tmp_path):
    with pytest.raises(StorageError, match="tocsin monitor"):
        foresee(load_settings(data=tmp_path / "nothing"))


def test_headlines_of_strangers_cannot_draw_in_a_page(settings):
    with Database(history_path(settings.data)).write() as con:
        con.execute(
            "UPDATE articles SET title = '![x](http://evil.example/p.png)|<b>' WHERE article_id % 10 = 0"
        )
    (found,) = foresee(settings, CABLES.model_copy(update={"threshold": 1.0}))
    assert "![x](" not in found.to_markdown()
    assert "<b>" not in found.to_markdown()
