"""Labels by hand and whether they count: asked, kept, compared on held-back ones, and taken back."""

import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from flows.labels import learn_labels
from flows.refit import load_decisions
from models.encode import load_encoder
from models.few_label import Label
from models.heads import build_heads
from models.learn import Comparison, compare_heads, has_enough
from models.text import compose_text
from storage.articles import store_articles
from storage.database import Database
from storage.folder import history_path
from storage.hand_labels import BY_HAND, HandLabel, load_questions, record_hand_labels
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.cli.label import label
from tocsin.cli.learn import learn
from tocsin.errors import SettingsError, TopicError
from tocsin.settings import load_settings
from tocsin.types import Article, StoryTie, Topic

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
# A topic that says less than its people mean: of all that bakes, they want bread alone.
BAKING = Topic(name="baking", description="Bakers, ovens, flour, and what comes out of them.")
BREAD = [
    "rye bread",
    "sourdough bread",
    "wheat bread",
    "flat bread",
    "corn bread",
    "bread rolls",
    "black bread",
]
CAKE = [
    "cheese cake",
    "wedding cake",
    "lemon cake",
    "sponge cake",
    "plum cake",
    "chocolate cake",
    "carrot cake",
]
TITLES = [f"Bakers praise {what} of the season" for what in (*BREAD, *CAKE)]


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_USER", "ada")
    encoder = load_encoder()
    texts = [compose_text(title, "") for title in TITLES]
    vectors = encoder.embed(texts)
    heads = build_heads([BAKING], encoder)
    made = [
        Article(number, None, title, "", "The Example", "feed", None, NOW + timedelta(minutes=number), "en")
        for number, title in enumerate(TITLES, start=1)
    ]
    ids = [article.article_id for article in made]
    with Database(history_path(tmp_path / "data")).write() as con:
        record_topics(con, [BAKING], run_id="run", now=NOW)
        store_articles(con, "run", articles=made, sightings=[], keys={})
        store_embeddings(con, encoder.revision, ids, vectors)
        values = heads.score(vectors, texts)
        block = ScoreBlock(ids, ["baking"], [BAKING.version], encoder.revision, heads.names, values)
        store_scores(con, block, NOW)
    return tmp_path


def ask(command, *arguments, said=None):
    result = CliRunner().invoke(command, arguments, input=said, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def kept():
    with Database(history_path(load_settings().data)).read() as con:
        return con.execute(
            "SELECT article_id, positive, labelled_by, channel, alert_id FROM labels ORDER BY article_id"
        ).fetchall()


def judge_all():
    """Say yes to bread and no to cake, as a person would in a table."""
    answers = [HandLabel(n, "baking", n <= len(BREAD)) for n in range(1, len(TITLES) + 1)]
    with Database(history_path(load_settings().data)).write() as con:
        return record_hand_labels(con, answers, person="ada", now=NOW)


def test_questions_are_the_nearest_to_the_threshold_one_of_a_story_and_none_twice(data):
    with Database(history_path(data / "data")).write() as con:
        store_ties(con, "run", [StoryTie(2, 1, 0.9)])
        record_hand_labels(con, [HandLabel(3, "baking", positive=True)], person="bob", now=NOW)
        found = load_questions(con, "baking", threshold=0.5, limit=99)
    away = [abs(each.score - 0.5) for each in found]
    assert away == sorted(away)
    assert len({1, 2} & {each.article_id for each in found}) == 1
    assert 3 not in {each.article_id for each in found}
    assert len(found) == len(TITLES) - 2


@pytest.mark.usefixtures("data")
def test_a_person_answers_skips_undoes_and_quits():
    said = ask(label, "baking", "--limit", "4", said="y\ns\nn\nu\ny\nq\n")
    assert "2 labels added" in said
    rows = kept()
    assert [row[1:] for row in rows] == [(True, "ada", BY_HAND, BY_HAND)] * 2


@pytest.mark.usefixtures("data")
def test_what_was_answered_is_kept_when_a_person_breaks_off():
    assert "1 labels added" in ask(label, "baking", said="n\n")
    assert [row[1] for row in kept()] == [False]


def test_a_table_goes_out_and_comes_back(data):
    with Database(history_path(data / "data")).write() as con:
        con.execute("UPDATE articles SET title = '=HYPERLINK(1)' WHERE article_id = 1")
    ask(label, "baking", "--export", "ask.csv")
    with (data / "ask.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(TITLES)
    assert all(row["article"].startswith("a") for row in rows)
    assert [row["title"] for row in rows if row["article"] == "a1"] == ["'=HYPERLINK(1)"]
    for row in rows[:3]:
        row["answer"] = "Yes"
    with (data / "ask.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert "3 labels added, 0 taken back" in ask(label, "baking", "--import", "ask.csv")
    assert "0 labels added, 0 taken back" in ask(label, "baking", "--import", "ask.csv")
    ask(label, "baking", "--export", "again.csv")
    text = (data / "again.csv").read_text(encoding="utf-8")
    assert text.count(",yes,") == 3
    (data / "again.csv").write_text(text.replace(",yes,", ",remove,", 1).replace(",yes,", ",no,", 1), "utf-8")
    assert "1 labels added, 2 taken back" in ask(label, "baking", "--import", "again.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no columns article and answer"),
        ("article,answer\na1,maybe\n", "line 2: answer 'maybe': write yes, no, remove"),
        ("article,answer\n1.2E+18,yes\n", "line 2: article '1.2E[+]18' is no id"),
    ],
)
def test_a_wrong_table_is_refused_by_its_line_and_nothing_is_kept(data, text, message):
    (data / "wrong.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        CliRunner().invoke(label, ["baking", "--import", "wrong.csv"], catch_exceptions=False)
    assert kept() == []


@pytest.mark.usefixtures("data")
def test_an_unknown_topic_is_refused():
    for command in (label, learn):
        with pytest.raises(TopicError, match="there is no such topic; there are baking"):
            CliRunner().invoke(command, ["cooking"], catch_exceptions=False)


@pytest.mark.usefixtures("data")
def test_with_few_labels_nothing_is_decided():
    found = json.loads(ask(learn, "baking", "--json"))
    assert (found["found"], found["counted"], found["counts"]) == (None, True, True)
    assert "at least 5 of each" in found["message"]
    assert load_decisions(load_settings(), "baking") == []


@pytest.mark.usefixtures("data")
def test_labels_that_help_are_used_and_one_command_goes_back_and_forth():
    assert judge_all() == (14, 0)
    db = Database(history_path(load_settings().data))
    found = json.loads(ask(learn, "baking", "--json"))
    assert found["is_better"]
    assert found["found"]["loss_after"] < found["found"]["loss_before"]
    assert (found["relevant"], found["irrelevant"]) == (7, 7)
    assert set(learn_labels(db, ["baking"], revision="any")) == {"baking"}
    assert "do not count" in ask(learn, "baking", "--back")
    assert learn_labels(db, ["baking"], revision="any") == {}
    assert "labels count" in ask(learn, "baking", "--back")
    assert len(learn_labels(db, ["baking"], revision="any")["baking"]) == 14
    decided = load_decisions(load_settings(), "baking")
    assert [each.uses_labels for each in decided] == [True, False, True]
    assert [each.decided_by for each in decided] == ["ada"] * 3
    assert decided[0].report["found"]["gain"] > 0


@pytest.mark.usefixtures("data")
def test_labels_that_do_not_help_stop_counting_unless_it_is_only_tried(monkeypatch):
    judge_all()
    worse = Comparison(7, 7, 0.40, 0.39, errors_before=2, errors_after=2, gain=0.01, noise=0.05)
    monkeypatch.setattr("flows.refit.compare_heads", lambda *_: worse)
    tried = json.loads(ask(learn, "baking", "--json", "--dry-run"))
    assert not tried["is_better"]
    assert load_decisions(load_settings(), "baking") == []
    assert "do not count from the next run on" in ask(learn, "baking")
    assert [each.uses_labels for each in load_decisions(load_settings(), "baking")] == [False]


def test_each_label_is_judged_by_a_head_that_did_not_see_it():
    encoder = load_encoder()
    labels = [Label(compose_text(f"Bakers praise item {n}", ""), bool(n % 2)) for n in range(20)]
    found = compare_heads(BAKING, labels, encoder)
    assert found.labels == 20
    scores = build_heads([BAKING], encoder, labels={"baking": labels}).score(
        encoder.embed([each.text for each in labels]), [each.text for each in labels]
    )
    seen = sum((score >= 0.5) != each.positive for score, each in zip(scores[:, 0], labels, strict=True))
    assert seen < found.errors_after  # the answers are chance, so who did not see them cannot know
    assert has_enough(labels)
    assert not has_enough(labels[:9])
    assert np.isfinite([found.loss_before, found.loss_after, found.noise]).all()


@pytest.mark.usefixtures("data")
def test_the_flow_learns_all_topics_with_labels_and_leaves_a_table(monkeypatch):
    from flows import learn as module

    left = {}
    monkeypatch.setattr(module, "create_table_artifact", lambda **given: left.update(given))
    assert module.learn.fn() == []
    judge_all()
    (found,) = module.learn.fn(dry_run=True)
    assert found["topic"] == "baking"
    assert "log loss" in left["table"][0]["what"]


@pytest.mark.parametrize(
    ("gain", "errors", "better"), [(0.2, 2, True), (0.2, 3, False), (0.04, 1, False), (-0.2, 0, False)]
)
def test_better_is_a_gain_above_its_noise_without_more_errors(gain, errors, better):
    found = Comparison(9, 9, 0.5, 0.5 - gain, errors_before=2, errors_after=errors, gain=gain, noise=0.05)
    assert found.is_better is better
