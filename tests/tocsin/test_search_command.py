"""`tocsin search`: by meaning, by words, by both, with filters, on the published history."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from models.encode import load_encoder
from models.text import compose_text
from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.publish import publish
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.search import fuse
from storage.topics import record_topics
from storage.words import choose_words
from tocsin.cli.search import search
from tocsin.errors import StorageError
from tocsin.types import Article, Topic

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOPIC = Topic(name="export_controls", description="Limits on technology that crosses borders.")
TEXTS = (
    (
        "Traders accused of routing banned processors via Kuala Lumpur",
        "Servers were relabelled at the port.",
        "en",
    ),
    ("Malaysia opens a new rail line", "Trains run from the capital to the coast.", "en"),
    ("Crisps and chips are getting dearer", "Potato harvests were poor.", "en"),
    ("Striker signs for two more years", "Nobody said for how much.", "en"),
    ("Österreichs Behörden prüfen Kabel", "Die Kabel liegen in der Donau.", "de"),
    ("芯片走私案开庭", "马来西亚。", "zh"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "data"
    db, encoder = Database(history_path(folder)), load_encoder()
    articles = [
        Article(n, f"https://x.example/{n}", title, summary, f"Outlet {n % 2}", "f", None,
                NOW - timedelta(days=n), language)
        for n, (title, summary, language) in enumerate(TEXTS)
    ]  # fmt: skip
    vectors = encoder.embed([compose_text(title, summary) for title, summary, _ in TEXTS])
    import numpy as np

    values = np.array([[0.9], *[[0.1]] * 5], np.float32)
    with db.write() as con:
        record_topics(con, [TOPIC], run_id="run", now=NOW)
        store_articles(con, "run", articles=articles, sightings=[], keys={})
        store_embeddings(con, encoder.revision, range(6), vectors)
        store_embeddings(con, "older", range(6), vectors[::-1])
        store_scores(
            con, ScoreBlock(range(6), [TOPIC.name], [TOPIC.version], encoder.revision, ["h"], values), NOW
        )
    publish(db, now=NOW)
    return folder


@pytest.fixture
def find(data):
    def find(*arguments):
        result = CliRunner().invoke(
            search, [*arguments, "--json", "--data", str(data)], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    return find


def ids(found):
    return [each["article_id"] for each in found]


def test_meaning_finds_what_says_it_in_other_words(find):
    found = find("chip smuggling through Malaysia", "--mode", "semantic")
    assert ids(found)[0] == 0
    assert len(found) == 6  # those of another encoder are not counted twice
    assert found[0]["topics"] == ["export_controls"]
    assert found[0]["likeness"] == max(each["likeness"] for each in found)


def test_words_find_whole_words_their_plural_and_nothing_else(find):
    assert set(ids(find("chip smuggling through Malaysia", "--mode", "words"))) == {1, 2}
    assert ids(find("hip", "--mode", "words")) == []
    assert ids(find("ÖSTERREICHS", "--mode", "words")) == [4]
    assert ids(find("走私", "--mode", "words")) == [5]
    assert ids(find("x.*", "--mode", "words")) == []


def test_a_rarer_word_and_a_shorter_text_count_for_more(find):
    found = find("capital kabel", "--mode", "words")
    assert ids(found) == [4, 1]  # it says so twice
    assert found[0]["bm25"] > found[1]["bm25"] > 0


def test_both_join_the_two_rankings(find):
    found = find("chip smuggling through Malaysia")
    assert {0, 1, 2} == set(ids(found)[:3])
    assert [each["bm25"] is None for each in found[:3]].count(True) == 1


@pytest.mark.parametrize("mode", ["semantic", "words", "both"])
def test_filters_hold_in_every_mode(find, mode):
    asked = ("malaysia banned kabel striker crisps", "--mode", mode)
    assert set(ids(find(*asked, "--topic", "export_controls"))) == {0}
    assert set(ids(find(*asked, "--outlet", "outlet 1"))) <= {1, 3, 5}
    assert set(ids(find(*asked, "--language", "DE"))) == {4}
    assert set(ids(find(*asked, "--since", "2026-11-18", "--until", "2026-11-19"))) == {1, 2}
    assert len(find(*asked, "--limit", "2")) == 2


def test_the_table_shows_headline_outlet_and_day(data):
    said = CliRunner().invoke(search, ["rail line", "--data", str(data)], catch_exceptions=False).output
    assert "Malaysia opens a new rail line" in said
    assert "2026-11-19" in said
    none = CliRunner().invoke(search, ["qqq", "--mode", "words", "--data", str(data)]).output
    assert none.strip() == "0 articles"


def test_it_says_so_if_nothing_was_published_or_asked(tmp_path, data):
    with pytest.raises(StorageError, match="nothing was published yet"):
        CliRunner().invoke(search, ["x", "--data", str(tmp_path)], catch_exceptions=False)
    assert CliRunner().invoke(search, ["  ", "--data", str(data)]).exit_code == 2


def test_the_query_of_the_docs_finds_what_is_like_an_article(data):
    from pathlib import Path

    from storage.query import query_published

    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    query = page.partition("```sql\n")[2].partition("```")[0].replace("1234", "0")
    rows = query_published(data, query).rows
    assert {row[1] for row in rows} == {title for title, _, _ in TEXTS[1:]}
    assert rows[0][0] > rows[-1][0]


def test_common_words_do_not_count_unless_there_are_no_others():
    assert choose_words("What is the news of chips, chips and chip makers?") == ["new", "chip", "maker"]
    assert choose_words("who are you") == ["who", "are", "you"]
    assert choose_words("?!") == []


@given(st.lists(st.lists(st.integers(0, 20), unique=True), max_size=3))
def test_fusing_loses_nothing_and_doubles_nothing(rankings):
    fused = fuse(rankings)
    assert sorted(fused) == sorted({item for ranking in rankings for item in ranking})
    if len(rankings) == 1:
        assert fused == rankings[0]
