"""The closer reading of doubtful pairs: what is read, how often, and what comes of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.background import load_background
from models.manifest import read_manifest, verify_files
from models.stories import Known, Storyteller
from models.story_events import FOLDER, MAX_SUMMARY, EventReader, compose_event, load_event_reader
from models.story_rule import FEATURES, CloserRule, Limits, StoryRule, read_rule, write_rule
from models.story_words import Weights
from tocsin.errors import ModelError
from tocsin.types import StoryArticle

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
# Log-odds at sight are -1 for all pairs; those of a closer reading are ten times the event cosine, less five.
RULE = StoryRule(
    "e",
    dict.fromkeys(FEATURES, 0.0),
    -1.0,
    Limits(2.0, 0.0),
    CloserRule("v", {**dict.fromkeys(FEATURES, 0.0), "event_cosine": 10.0}, -5.0, doubtful=-2.0),
)


class Written:
    """An encoder that reads vectors off the texts' last letter, and notes what it is given."""

    revision, dimensions, languages = "written", 2, frozenset({"en"})

    def __init__(self):
        self.given = []
        self.loads = 0

    def load(self):
        self.loads += 1
        return self

    def embed(self, texts, *, progress=None):
        self.given += texts
        turned = np.array([(ord(text.rstrip(".")[-1]) - ord("a")) * np.pi / 8 for text in texts])
        return np.column_stack([np.cos(turned), np.sin(turned)]).astype(np.float32)


@pytest.fixture
def written():
    return Written()


@pytest.fixture(scope="module")
def weights():
    return Weights(load_background().lexicon)


def write(number, letter, *, language="en", outlet=None, title="Ferry fares rise"):
    at = NOON + timedelta(hours=number)
    return StoryArticle(number, f"{title} {letter}", "", outlet or f"Outlet {number}", at, language)


def tie(rule, weights, written, *articles, known=(), most=100):
    reader = EventReader(written.load, most=most)
    vectors = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(known) + len(articles), 1))
    held = Known(known, vectors[: len(known)])
    ties = Storyteller(rule, weights, reader).tie(articles, vectors[len(known) :], held)
    return [each.story_id for each in ties]


def test_a_pair_in_doubt_joins_if_its_event_vectors_lie_together(weights, written):
    assert tie(RULE, weights, written, write(1, "a"), write(2, "a")) == [1, 1]
    assert tie(RULE, weights, written, write(1, "a"), write(2, "d")) == [1, 2]
    assert tie(RULE, weights, written, write(2, "a"), known=[write(1, "a")]) == [1]


def test_what_is_far_at_sight_is_not_read_and_no_encoder_is_loaded(weights, written):
    far = replace(RULE, offset=-3.0)
    assert tie(far, weights, written, write(1, "a"), write(2, "a")) == [1, 2]
    assert tie(replace(RULE, closer=None), weights, written, write(1, "a"), write(2, "a")) == [1, 2]
    assert (written.loads, written.given) == (0, [])


def test_what_only_a_copy_may_join_is_not_read(weights, written):
    assert tie(RULE, weights, written, write(1, "a", outlet="A"), write(2, "b", outlet="A")) == [1, 1]
    assert tie(RULE, weights, written, write(1, "a", language="nl"), write(2, "c", language="nl")) == [1, 1]
    assert written.loads == 0


def test_a_text_is_embedded_once_in_a_run(written):
    reader = EventReader(written.load)
    one, two, three = write(1, "a"), write(2, "b"), write(3, "c")
    first = reader.compare([(one, two), (two, three)])
    again = reader.compare([(one, three), (one, one)])
    assert written.loads == 1
    assert sorted(written.given) == [compose_event(each) for each in (one, two, three)]
    np.testing.assert_allclose(first, np.cos(np.pi / 8), atol=1e-6)
    np.testing.assert_allclose(again, [np.cos(np.pi / 4), 1], atol=1e-6)


def test_reading_has_a_bound_and_what_is_past_it_stays_as_at_sight(weights, written):
    reader = EventReader(written.load, most=2)
    found = reader.compare([(write(1, "a"), write(2, "a")), (write(3, "b"), write(4, "c"))])
    assert np.isnan(found).tolist() == [False, True]
    assert len(written.given) == 2
    assert tie(RULE, weights, Written(), write(1, "a"), write(2, "b"), write(3, "a"), most=0) == [1, 2, 3]
    sure = replace(RULE, offset=3.0)
    assert tie(sure, weights, Written(), write(1, "a"), write(2, "b"), most=0) == [1, 1]


def test_no_pair_needs_no_encoder(written):
    assert EventReader(written.load).compare([]).shape == (0,)
    assert written.loads == 0


def test_of_a_long_summary_the_beginning_is_read():
    article = replace(write(1, "a"), summary="word " * 500)
    assert len(compose_event(article)) <= len(article.title) + MAX_SUMMARY + 2


def test_a_rule_with_a_closer_reading_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "stories.json"
    for rule in (RULE, replace(RULE, closer=None)):
        write_rule(rule, path)
        assert read_rule(path) == rule
    told = json.loads(path.read_text())
    closer = {"event_revision": "v", "weights": {"cosine": 1.0}, "offset": 0.0, "doubtful": 0.0}
    path.write_text(json.dumps(told | {"closer": closer}))
    with pytest.raises(ModelError, match="git checkout"):
        read_rule(path)


def test_the_rule_was_fitted_for_the_shipped_event_encoder():
    manifest = read_manifest(FOLDER)
    verify_files(FOLDER, manifest)
    assert read_rule().closer.event_revision == manifest.revision, "run `python -m models.fit_stories`"
    assert {path.name for path in FOLDER.iterdir()} - set(manifest.files) == {
        "NOTICE",
        "README.md",
        "manifest.json",
    }


def test_the_shipped_event_encoder_tells_one_event_from_the_reaction_to_it():
    """Written for this test: two reports of one fine, and what a minister said of it."""
    fine = write(1, "", title="Dutch regulator fines Gracenote 40 million euros over children's data")
    same = write(2, "", title="Gracenote must pay €40m in the Netherlands for misuse of children's data")
    reaction = write(3, "", title="Minister calls the fine on Gracenote a warning and wants stricter law")
    together, apart = load_event_reader().compare([(fine, same), (fine, reaction)])
    assert together > apart + 0.1
