"""A cross-encoder that torch runs: the real loading code on tiny models with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from models.cross_encoder import find_entailment, write_hypothesis
from models.second_opinion import SETTING, load_second_reader
from tocsin.errors import ModelError, SettingsError
from tocsin.types import Topic

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import save_transformer

PAIRS = [
    ("Chips need a licence.", "This text is about chips."),
    ("Rain " * 200, "This text is about rain."),
    ("", "a"),
]
ORDERS = [("contradiction", "neutral", "entailment"), ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")]


@pytest.fixture
def save_nli():
    pytest.importorskip("torch", reason="torch is only in the environment of the extra `torch`")

    def save(folder, labels=ORDERS[0]):
        names = dict(enumerate(labels))
        return save_transformer(
            folder, "BertForSequenceClassification", id2label=names, num_labels=len(names)
        )

    return save


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({0: "contradiction", 1: "neutral", 2: "entailment"}, 2),
        ({"0": "Entailment", "1": "Neutral"}, 0),
        ({0: "not_entailment", 1: "entailment"}, 1),
    ],
)
def test_entailment_is_found_by_name(labels, place):
    assert find_entailment(labels, Path("m"), setting=SETTING) == place


@pytest.mark.parametrize(
    "labels",
    [{0: "LABEL_0", 1: "LABEL_1"}, {}, None, {0: "not_entailment"}, {0: "entailment", 1: "Entailment"}],
)
def test_a_model_whose_classes_do_not_say_entailment_once_is_refused(labels):
    with pytest.raises(ModelError, match=r"^TOCSIN_CROSS_ENCODER: .* no class called entailment"):
        find_entailment(labels, Path("m"), setting=SETTING)


def test_a_name_that_is_none_is_refused_by_its_setting():
    with pytest.raises(SettingsError, match=r"^TOCSIN_CROSS_ENCODER: .*owner/name@commit"):
        load_second_reader("someone/nli")


def test_a_hypothesis_ends_in_one_full_stop():
    ferries = Topic(name="ferries", description="Ferries on rivers. And lakes.")
    assert write_hypothesis(ferries) == "This text is about Ferries on rivers. And lakes."


def test_a_topic_is_judged_by_the_sentence_that_says_a_text_is_about_it(tmp_path, save_nli):
    model = load_second_reader(str(save_nli(tmp_path / "nli")))
    topic = Topic(name="chips", description="Exports of chips.")
    asked = model.entail([("Chips", "This text is about Exports of chips.")])
    np.testing.assert_array_equal(model.judge([("Chips", topic)]), asked)


@pytest.mark.parametrize("labels", ORDERS)
def test_the_answer_is_the_probability_of_the_class_called_entailment(tmp_path, save_nli, labels):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = save_nli(tmp_path / "nli", labels)
    model = load_second_reader(str(folder))
    answers = model.entail(PAIRS)
    inputs = AutoTokenizer.from_pretrained(folder)(*PAIRS[0], return_tensors="pt")
    with torch.no_grad():
        logits = AutoModelForSequenceClassification.from_pretrained(folder).eval()(**inputs).logits[0]
    place = [label.casefold() for label in labels].index("entailment")
    assert answers[0] == pytest.approx(float(logits.double().softmax(0)[place]), abs=1e-5)
    assert len(set(np.round(answers, 6))) == 3
    np.testing.assert_allclose(model.entail(PAIRS[::-1])[::-1], answers, atol=1e-5)


def test_a_long_text_is_cut_but_not_the_sentence(tmp_path, save_nli):
    model = load_second_reader(str(save_nli(tmp_path / "nli")))
    long = "Rain " * 200
    one, other, longer = model.entail([(long, "about rain"), (long, "about chips"), (long * 2, "about rain")])
    assert abs(one - other) > 1e-6
    assert one == pytest.approx(longer, abs=1e-6)


def test_a_sentence_longer_than_the_model_can_see_is_cut_too(tmp_path, save_nli):
    model = load_second_reader(str(save_nli(tmp_path / "nli")))
    assert np.isfinite(model.entail([("Rain", "chips " * 300)])).all()
    assert model.entail([]).shape == (0,)


def test_the_name_tells_the_weights(tmp_path, save_nli):
    name = load_second_reader(str(save_nli(tmp_path / "nli"))).name
    assert name.startswith("nli-")
    assert load_second_reader(str(save_nli(tmp_path / "b", ORDERS[1]))).name != name


def test_an_encoder_without_a_classifier_is_refused_instead_of_given_a_random_one(tmp_path, save_nli):
    folder = save_nli(tmp_path / "nli")
    bare = save_transformer(tmp_path / "bare")
    config = json.loads((folder / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"TOCSIN_CROSS_ENCODER: .* no whole model of its kind: it lacks"):
        load_second_reader(str(bare))


def test_a_tensor_of_another_size_is_named_with_both_sizes(tmp_path, save_nli):
    folder = save_nli(tmp_path / "nli")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelError, match=r"lacks bert\.encoder\.\S+ in the shape \(48,\) \(it has \(64,\)\)"):
        load_second_reader(str(folder))
