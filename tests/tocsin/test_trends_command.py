"""`tocsin publish`, `tocsin trends` and `tocsin sql` on the published history."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.history_file import PARQUET, published_path
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from storage.trends import TrendDay
from tocsin.cli.publish import publish
from tocsin.cli.sql import sql
from tocsin.cli.trends import draw_line, trends
from tocsin.errors import SettingsError, StorageError
from tocsin.types import Article, Topic

NOW = datetime.now(UTC)
TOPIC = Topic(name="cables", description="Cables under the sea.")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    ages = [age for age in range(40) for _ in range(10)]
    articles = [
        Article(number, None, f"T{number}", "", "A", "f", None, NOW - timedelta(days=age), "en")
        for number, age in enumerate(ages)
    ]
    values = np.array([[0.9 if number % 10 < 3 else 0.1] for number in range(len(ages))], np.float32)
    block = ScoreBlock(
        [article.article_id for article in articles], ["cables"], [TOPIC.version], "enc", ["h"], values
    )
    with Database(history_path(folder)).write() as con:
        record_topics(con, [TOPIC], run_id="run", now=NOW)
        store_articles(con, "run", articles=articles, sightings=[], keys={})
        store_scores(con, block, NOW)
    return folder


def ask(command, *arguments):
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_trends_are_shown_with_figures_and_a_line(data):
    ask(publish)
    said = ask(trends)
    assert "cables" in said
    assert "84" in said  # 28 days of three matches
    assert "30.0%" in said
    assert "█" * 28 in said


def test_trends_as_json_have_an_object_per_day(data):
    ask(publish)
    days = json.loads(ask(trends, "--json", "--since", "5d", "--topic", "cables"))
    assert [day["matches"] for day in days] == [3] * 5
    assert days[-1]["day"] == NOW.date().isoformat()
    assert "No article was scored" in ask(trends, "--topic", "unheard_of")


def test_a_line_has_gaps_where_nothing_is_known_and_fits_the_screen():
    def day(number, share):
        fields = dict.fromkeys(TrendDay.__slots__) | {"corrected_share": share}
        return TrendDay(**fields | {"day": date(2026, 1, 1) + timedelta(days=number)})

    first = date(2026, 1, 1)
    assert draw_line([day(0, 0.1), day(2, 0.2)], first, first + timedelta(days=2)) == "▅ █"
    assert draw_line([day(0, 0.0)], first, first) == "▁"
    long = [day(number, 0.1) for number in range(1000)]
    assert draw_line(long, first, long[-1].day) == "█" * 40


def test_publishing_says_what_it_wrote_and_full_writes_all_again(data):
    first = json.loads(ask(publish, "--json"))
    assert (first["generation"], first["path"]) == (1, str(published_path(data)))
    assert json.loads(ask(publish, "--json"))["rows"] == 0
    assert json.loads(ask(publish, "--full", "--json"))["rows"] == first["rows"]
    assert "generation 4" in ask(publish)


def test_questions_go_to_the_published_history_unless_asked_otherwise(data):
    question = "SELECT count(*) AS n FROM articles"
    with pytest.raises(StorageError, match="nothing was published yet"):
        CliRunner().invoke(sql, [question], catch_exceptions=False)
    assert json.loads(ask(sql, question, "--json", "--live")) == [{"n": 400}]
    ask(publish)
    with Database(history_path(data)).write() as con:
        con.execute("DELETE FROM articles WHERE article_id < 100")
    assert json.loads(ask(sql, question, "--json")) == [{"n": 400}]
    assert json.loads(ask(sql, question, "--json", "--live")) == [{"n": 300}]


def test_nothing_to_publish_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="no history yet"):
        CliRunner().invoke(publish, [], catch_exceptions=False)
    assert not (tmp_path / "data" / PARQUET).exists()


def test_a_chart_is_written_as_png_and_the_same_again(data, tmp_path):
    ask(publish)
    for name in ("one.png", "two.png"):
        said = ask(trends, "--png", str(tmp_path / name), "--since", "20d")
        assert name in said
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one.startswith(b"\x89PNG")
    assert one == two
    assert json.loads(CliRunner().invoke(trends, ["--json", "--png", str(tmp_path / "x.png")]).stdout)


def test_what_is_drawn_is_the_corrected_average_with_gaps_and_every_label():
    from tocsin.cli import trend_chart

    def day(topic, number, share):
        fields = dict.fromkeys(TrendDay.__slots__) | {
            "corrected_share_7d": share,
            "topic": topic,
            "articles": 9,
        }
        return TrendDay(**fields | {"day": date(2026, 1, 1) + timedelta(days=number)})

    listed = [day("us_cables", 0, 0.1), day("us_cables", 2, 0.2), day("us_cables", 3, None)]
    every, shares = trend_chart.line_of(listed)
    assert [each.day for each in every] == [1, 2, 3, 4]
    assert shares[::2] == [10, 20]
    assert np.isnan(shares[1::2]).all()
    for topics in (1, 6, 9):
        many = [day(f"topic_{n}", at, 0.01 * n) for n in range(topics) for at in range(60)]
        figure = trend_chart.make_chart(many)
        said = [each.get_text() for each in figure.findobj(match=lambda item: hasattr(item, "get_text"))]
        assert any("2026-01-01 to 2026-03-01" in each for each in said)
        assert any("corrected for feeds that died or joined" in each for each in said)
        assert any("540 articles" in each for each in said)
        assert all(any(f"Topic {n}" in each for each in said) for n in range(topics))


def test_without_matplotlib_the_error_says_what_to_install(data, tmp_path, monkeypatch):
    import sys

    ask(publish)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"pip install .*charts"):
        CliRunner().invoke(trends, ["--png", str(tmp_path / "x.png")], catch_exceptions=False)
    assert not (tmp_path / "x.png").exists()
