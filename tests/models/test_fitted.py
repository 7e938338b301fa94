from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest

from models.evaluate import evaluate_scores, read_labelled
from models.fitted import ARRAYS, PATH, TERMS, hash_definition, load_weights, read_fitted, save_fitted
from models.heads import build_heads
from models.text import compose_text
from models.topics import default_topics
from tocsin.errors import ModelError
from tocsin.types import Topic

OWN = Topic(name="river_ferries", description="Ferries and other passenger boats on rivers.")
ARTICLES = [
    compose_text("Commerce ministry refuses licences for AI chips", "Chip makers may not ship to China."),
    compose_text("Authorities block news sites ahead of the vote", "Two reporters were jailed."),
    compose_text("Ten soups for cold evenings", ""),
    "",
    "一个 новость \u200b 😀",
]


@pytest.fixture(scope="module")
def vectors(encoder):
    return encoder.embed(ARTICLES)


@pytest.fixture
def copy(tmp_path):
    for name in (PATH.name, ARRAYS, TERMS):
        shutil.copy(PATH.with_name(name), tmp_path)
    return tmp_path / PATH.name


def test_the_default_topics_are_fitted_and_others_are_not(encoder, heads):
    assert heads.names == ("fitted-2",) * 10
    mixed = build_heads((default_topics()[0], OWN, default_topics()[1]), encoder)
    assert mixed.names == ("fitted-2", "zero_shot-2", "fitted-2")


@pytest.mark.parametrize(
    "change", [{"threshold": 0.9}, {"sensitivity": "fewer"}, {"channel": "#chips"}], ids=str
)
def test_what_does_not_change_the_meaning_keeps_the_fitted_head(encoder, heads, vectors, change):
    topic = default_topics()[2].model_copy(update=change)
    changed = build_heads([topic], encoder)
    assert changed.names == ("fitted-2",)
    np.testing.assert_allclose(
        changed.score(vectors, ARTICLES)[:, 0], heads.score(vectors, ARTICLES)[:, 2], atol=1e-6
    )


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Something else entirely."},
        {"examples": ()},
        {"counter_examples": ("Soup",)},
        {"name": "chips"},
    ],
    ids=str,
)
def test_an_edited_definition_falls_back_to_zero_shot(encoder, change):
    first, *others = default_topics()[:3]
    edited = first.model_copy(update=change)
    assert build_heads([edited, *others], encoder).names == ("zero_shot-2", "fitted-2", "fitted-2")
    assert hash_definition(edited) != hash_definition(first)


def test_mixed_heads_give_each_topic_what_it_gets_alone(encoder, heads, vectors):
    topics = (OWN, default_topics()[4], OWN.model_copy(update={"name": "boats"}), default_topics()[1])
    mixed = build_heads(topics, encoder).score(vectors, ARTICLES)
    alone = heads.score(vectors, ARTICLES)
    np.testing.assert_allclose(mixed[:, [1, 3]], alone[:, [4, 1]], atol=1e-6)
    own = build_heads([OWN], encoder).score(vectors, ARTICLES)
    np.testing.assert_allclose(mixed[:, 0], own[:, 0], atol=1e-5)


def test_scores_do_not_depend_on_other_articles_or_their_order(heads, vectors):
    together = heads.score(vectors, ARTICLES)
    assert together.dtype == np.float32
    assert ((together > 0) & (together < 1)).all()
    for i, text in enumerate(ARTICLES):
        np.testing.assert_allclose(heads.score(vectors[i : i + 1], [text])[0], together[i], atol=1e-6)
    np.testing.assert_allclose(heads.score(vectors[::-1], ARTICLES[::-1])[::-1], together, atol=1e-6)


def test_the_text_is_evidence_beside_the_vector(heads, vectors):
    column = [topic.name for topic in heads.topics].index("export_controls")
    same = np.repeat(vectors[:1], 2, axis=0)
    about, other = heads.score(same, ["export controls on chips to China", "soup and rivers"])[:, column]
    assert about > other


def test_without_texts_the_vector_alone_decides(heads, vectors):
    bare = heads.score(vectors)
    assert 0 in bare[0].argsort()[-2:]  # it is about China too
    assert bare[0, 0] >= 0.6
    assert bare[2].max() < 0.2
    assert not np.allclose(bare, heads.score(vectors, ARTICLES))


def test_a_text_for_each_vector_is_asked_for(heads, vectors):
    with pytest.raises(ValueError, match="4 texts for 5 embeddings"):
        heads.score(vectors, ARTICLES[:4])


def test_an_empty_article_and_odd_scripts_match_nothing(heads, vectors):
    assert heads.score(vectors, ARTICLES)[3:].max() < 0.5


def test_repeating_keywords_gains_little_over_saying_it_once(encoder, heads):
    plain = "Government tightens export controls on AI chips sold to China"
    spam = compose_text("Ten soups for cold evenings", "export controls chips china licence " * 500)
    scores = heads.score(encoder.embed([plain, spam]), [plain, spam])
    assert scores[1, 0] <= scores[0, 0]


def test_a_megabyte_of_text_is_bounded_in_time_and_score(heads, vectors):
    huge = "export controls " * 70_000
    started = time.process_time()
    scores = heads.score(vectors[:1], [huge])
    assert time.process_time() - started < 0.2
    np.testing.assert_allclose(scores, heads.score(vectors[:1], [huge[:8_000]]), atol=1e-6)


def test_a_hundred_topics_cost_little_more_than_the_ten(encoder):
    own = [OWN.model_copy(update={"name": f"topic_{i}"}) for i in range(90)]
    heads = build_heads([*default_topics(), *own], encoder)
    texts = [compose_text(ARTICLES[0], "Lawmakers want rules for chips and data centres. " * 5)] * 1_000
    vectors = np.repeat(encoder.embed(texts[:1]), len(texts), axis=0)
    heads.score(vectors[:10], texts[:10])
    started = time.process_time()
    heads.score(vectors, texts)
    # Encoding one article takes about 5 ms; scoring it for a hundred topics must be far below a fifth.
    assert (time.process_time() - started) / len(texts) < 0.001


def test_what_is_saved_is_read_back_the_same_and_byte_for_byte(encoder, copy, tmp_path):
    known = read_fitted(copy, revision=encoder.revision)
    weights = load_weights(known, copy, dimensions=encoder.dimensions)
    again = tmp_path / "again" / PATH.name
    again.parent.mkdir()
    save_fitted(known, weights, again)
    assert read_fitted(again, revision=encoder.revision) == known
    for name in (PATH.name, ARRAYS, TERMS):
        assert again.with_name(name).read_bytes() == copy.with_name(name).read_bytes()


def test_terms_are_single_words_and_pairs():
    lines = PATH.with_name(TERMS).read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) > 2_000
    assert max(len(line.split()) for line in lines) == 2


@pytest.mark.parametrize("name", [ARRAYS, TERMS])
@pytest.mark.parametrize("damage", ["missing", "changed", "short"])
def test_a_damaged_file_is_named_with_the_command_that_restores_it(encoder, copy, name, damage):
    path = copy.with_name(name)
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[:-1] if damage == "short" else data[:-1] + b"?")
    with pytest.raises(
        ModelError, match=rf"{name} is (missing|corrupt).*git checkout.*models\.fit_heads"
    ) as caught:
        build_heads(default_topics(), encoder, fitted=copy)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"topics": [], "files": {}}', '{"topics": [{"name": "x"}]}']
)
def test_a_damaged_description_is_named(encoder, copy, text):
    copy.write_text(text)
    with pytest.raises(ModelError, match=r"fitted\.json cannot be read.*git checkout"):
        build_heads([OWN], encoder, fitted=copy)


def edit(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_slope_that_is_no_number_is_refused(encoder, copy):
    topics = json.loads(copy.read_text())["topics"]
    topics[0]["with_text"]["slope"] = "steep"
    edit(copy, topics=topics)
    with pytest.raises(ModelError, match="a slope or offset is not a number"):
        build_heads(default_topics(), encoder, fitted=copy)


def test_heads_of_another_encoder_are_refused(encoder, copy):
    edit(copy, encoder_revision="other")
    with pytest.raises(ModelError, match=r"was fitted for encoder other, but encoder minilm"):
        build_heads(default_topics(), encoder, fitted=copy)


def test_arrays_that_do_not_fit_the_topics_are_refused(encoder, copy):
    edit(copy, topics=json.loads(copy.read_text())["topics"][:9])
    with pytest.raises(ModelError, match=r"fitted\.npz has arrays of shapes"):
        build_heads(default_topics()[:9], encoder, fitted=copy)


def test_fitted_heads_beat_zero_shot_on_dev(encoder, heads, eval_folder):
    topics = default_topics()
    articles = read_labelled(eval_folder / "dev.jsonl")
    texts = [compose_text(article.title, article.summary) for article in articles]
    vectors = encoder.embed(texts)
    # A blank more, and the definitions are none that was fitted.
    bare = [topic.model_copy(update={"description": topic.description + " "}) for topic in topics]
    zero = build_heads(bare, encoder)
    assert set(zero.names) == {"zero_shot-2"}
    found = evaluate_scores(heads.score(vectors, texts), articles, topics)
    alone = evaluate_scores(heads.score(vectors), articles, topics)
    before = evaluate_scores(zero.score(vectors), articles, bare)
    assert found.mean["ap"] >= 0.94
    assert found.mean["f1"] >= 0.86
    # The encoder knows these topics, so zero-shot is better on them than on topics of one's own.
    assert found.mean["ap"] >= before.mean["ap"] + 0.02
    assert alone.mean["ap"] >= before.mean["ap"] + 0.01
    assert all(found.topics[name].ap >= before.topics[name].ap - 0.02 for name in found.topics)
