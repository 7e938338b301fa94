"""A one-pass classifier: the real loading code and the real library on tiny models with random weights."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from models.one_pass import check_config, is_one_pass, write_label, write_name
from models.second_opinion import SETTING, load_second_reader
from models.topics import default_topics
from tocsin.errors import ModelError, SettingsError
from tocsin.types import Topic

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import save_one_pass, save_transformer

TOPICS = default_topics()
TEXT = "Chips need a licence before they cross the border."
LONG = " ".join(f"Ferry {i} crossed river {i % 7}." for i in range(300))
ENCODER = {"model_type": "bert"}
KINDS = {
    "as saved by default": {},
    "labels first": {"prompt_first": True},
    "deberta, weighted": {
        "encoder": "deberta-v2",
        "scorer_type": "weighted-dot",
        "prompt_first": True,
        "normalize_features": True,
    },
    "mean of the text's tokens and of each label's": {
        "pooling_strategy": "avg",
        "class_token_pooling": "average",
        "extract_text_features": True,
        "prompt_first": True,
    },
}
SHARED = "t5"  # an encoder that stores one tensor for two names


@pytest.fixture
def save(tmp_path):
    """Save a model by the library's own classes."""
    pytest.importorskip("torch", reason="torch is only in the environment of the extra `torch`")
    if importlib.util.find_spec("gliclass") is None:
        pytest.skip("gliclass is only in the environment of the extra `gliclass`")

    def make(**config):
        return save_one_pass(tmp_path / "one", **config)

    return make


@pytest.fixture
def load(save):
    """Load such a model, with the inputs of each of its passes."""

    def make(**config):
        model = load_second_reader(str(save(**config)))
        passes = []
        model._run.pipe.model.register_forward_pre_hook(
            lambda _, args, given: passes.append(given["input_ids"]), with_kwargs=True
        )
        return model, passes

    return make


def ask(model, *texts, topics=TOPICS):
    return model.judge([(text, topic) for text in texts for topic in topics]).reshape(len(texts), len(topics))


def edit_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def make_topic(name, description):
    return Topic(name=name, description=description)


@pytest.mark.parametrize(
    ("name", "description", "label"),
    [
        ("ai_safety", "Risks of AI: misuse, fraud.", "ai safety: Risks of AI"),
        ("ferries", "Ferries on rivers. And lakes.", "ferries: Ferries on rivers"),
        ("ferries", "Ferries on rivers", "ferries: Ferries on rivers"),
        ("rates", "Interest at 2.5 per cent", "rates: Interest at 2.5 per cent"),
        ("chips_2", ": nothing before the colon", "chips 2"),
        ("chips", "A clause that goes on " * 7, "chips"),
    ],
)
def test_a_label_is_the_name_in_words_and_the_first_clause_if_it_is_short(name, description, label):
    assert write_label(make_topic(name, description)) == label


def test_labels_of_the_default_topics_differ_and_are_short():
    labels = [write_label(topic) for topic in TOPICS]
    assert len(set(labels)) == len(TOPICS)
    assert all(write_name(topic) + ": " in label for topic, label in zip(TOPICS, labels, strict=True))
    assert max(map(len, labels)) < 130


@pytest.mark.parametrize(
    ("config", "is_one"),
    [
        ({"model_type": "GLiClass"}, True),
        ({"model_type": "bert"}, False),
        ({}, False),
        ({"model_type": None}, False),
    ],
)
def test_the_kind_is_read_from_the_configuration(config, is_one):
    assert is_one_pass(config) is is_one


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"architecture_type": "bi-encoder", "encoder_config": ENCODER},
            "architecture bi-encoder: only uni-",
        ),
        ({}, "does not know"),
        ({"encoder_config": {"model_type": "of-my-own"}}, r"does not know \(of-my-own\)"),
        (
            {"encoder_config": {**ENCODER, "auto_map": {"AutoModel": "x.Y"}}},
            "code of its own, which is never run",
        ),
    ],
)
def test_what_is_not_read_or_brings_code_is_refused_before_the_library_sees_it(tmp_path, config, problem):
    with pytest.raises(ModelError, match=rf"^TOCSIN_CROSS_ENCODER: .*{problem}"):
        check_config(config, tmp_path, setting=SETTING)
    for name, content in {"config.json": json.dumps({"model_type": "GLiClass", **config})}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=problem):
        load_second_reader(str(tmp_path))


def test_a_model_of_neither_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"no class called entailment, only .*, and is no GLiClass model"):
        load_second_reader(str(tmp_path))


@pytest.mark.parametrize("content", ["[]", "{", "\udcff"])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match=r"^TOCSIN_CROSS_ENCODER: .* config.json"):
        load_second_reader(str(tmp_path))


@pytest.mark.parametrize("name", ["someone/gliclass", "someone/gliclass@main"])
def test_a_model_of_the_hub_needs_its_commit(name):
    with pytest.raises(SettingsError, match=r"^TOCSIN_CROSS_ENCODER: .*owner/name@commit"):
        load_second_reader(name)


def test_the_extra_is_named_where_the_library_is_absent(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "GLiClass", "encoder_config": ENCODER}))
    (tmp_path / "model.safetensors").touch()
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "gliclass" else name == "torch" or real(name),
    )
    with pytest.raises(
        ModelError, match=r'gliclass, which is not installed: pip install "tocsin\[gliclass\]"'
    ):
        load_second_reader(str(tmp_path))


@pytest.mark.parametrize("kind", [*KINDS, SHARED])
def test_scores_are_those_of_the_library_and_of_its_model_run_by_hand(save, kind):
    import torch
    from gliclass import GLiClassModel, ZeroShotClassificationPipeline
    from transformers import AutoTokenizer

    config = KINDS.get(kind, {"encoder": kind, "pooling_strategy": "avg"})
    folder = save(**config)
    found = ask(load_second_reader(str(folder)), TEXT, topics=TOPICS[:4])[0]
    labels = sorted(write_label(topic) for topic in TOPICS[:4])
    by_label = dict(zip(map(write_label, TOPICS[:4]), found, strict=True))
    model = GLiClassModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pipeline = ZeroShotClassificationPipeline(model, tokenizer, device="cpu", progress_bar=False)
    theirs = {each["label"]: each["score"] for each in pipeline(TEXT, labels, threshold=0.0)[0]}
    assert by_label == pytest.approx(theirs, abs=1e-4)

    written = "".join(f"<<LABEL>>{label}" for label in labels) + "<<SEP>>"
    given = written + TEXT if config.get("prompt_first") else TEXT + written
    with torch.no_grad():
        logits = model(**tokenizer(given, return_tensors="pt"), max_num_classes=4).logits[0]
    assert [by_label[label] for label in labels] == pytest.approx(logits.sigmoid().tolist(), abs=1e-4)
    assert np.ptp(found) > 0.01  # or anything would agree


def test_all_topics_of_a_text_take_one_pass(load):
    model, passes = load(places=512)
    ask(model, TEXT, TEXT + " Ferries wait.")
    assert len(passes) == 2
    assert [len(inputs) for inputs in passes] == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_does_not_depend_on_the_other_articles(load, kind):
    model, _ = load(**KINDS[kind])
    alone = ask(model, TEXT)
    among = ask(model, LONG, "Rain.", TEXT, "")
    np.testing.assert_array_equal(among[2], alone[0])


def test_the_order_of_topics_changes_nothing_but_which_are_read_together_does(load):
    model, _ = load(places=512)
    order = np.random.default_rng(0).permutation(len(TOPICS))
    found = ask(model, TEXT)
    np.testing.assert_array_equal(ask(model, TEXT, topics=[TOPICS[i] for i in order]), found[:, order])
    fewer = ask(model, TEXT, topics=TOPICS[:9])
    assert np.abs(fewer - found[:, :9]).max() > 1e-6  # the model itself reads labels beside each other


def test_topics_with_one_label_get_one_score(load):
    model, passes = load()
    twins = [
        make_topic("chips", "Chips and tools: the first"),
        make_topic("chips", "Chips and tools: the other"),
    ]
    first, second = ask(model, TEXT, topics=twins)[0]
    assert first == second
    assert count_marks(model, passes) == [1]


def count_marks(model, passes):
    mark = model._tokenizer.convert_tokens_to_ids("<<LABEL>>")
    return [int((inputs == mark).sum()) for inputs in passes]


def holds(model, inputs, label):
    wanted = model._tokenizer(f"<<LABEL>>{label}", add_special_tokens=False)["input_ids"]
    given = inputs[0].tolist()
    return any(given[i : i + len(wanted)] == wanted for i in range(len(given)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_is_cut_and_no_label_is(load, kind):
    model, passes = load(**KINDS[kind])
    found = ask(model, LONG, LONG + " Chips", topics=TOPICS[:4])
    np.testing.assert_array_equal(found[0], found[1])  # cut at its end
    assert not np.array_equal(found[0], ask(model, "Ferry", topics=TOPICS[:4])[0])
    assert count_marks(model, passes) == [4] * 3
    assert [inputs.shape[1] <= 128 for inputs in passes] == [True] * 3
    assert passes[0].shape[1] >= 126  # and no more than needed
    assert all(holds(model, passes[0], write_label(topic)) for topic in TOPICS[:4])


@pytest.mark.parametrize(
    "most",
    [{"max_num_classes": 4}, {"max_labels_alloc": 4}, {"max_labels_alloc": "fixed", "max_num_classes": 4}],
)
def test_many_labels_are_parted_into_passes(load, most):
    topics = [make_topic(f"ferry_{chr(97 + i)}", "Ferries on rivers") for i in range(26)]
    model, passes = load(places=512, **most)
    found = ask(model, TEXT, topics=topics)
    assert count_marks(model, passes) == [4] * 6 + [2]
    np.testing.assert_array_equal(found[:, :4], ask(model, TEXT, topics=topics[:4]))


def test_labels_take_no_more_than_half_of_the_tokens(load):
    model, passes = load(places=64)
    ask(model, LONG)
    mark, end = model._tokenizer.convert_tokens_to_ids(["<<LABEL>>", "<<SEP>>"])
    for (inputs,) in passes:
        used = int((inputs == end).nonzero()[0] - (inputs == mark).nonzero()[0][0]) + 1
        assert used <= 32
    assert sum(count_marks(model, passes)) == len(TOPICS)


def test_a_label_that_would_take_the_room_of_the_text_gives_way_to_the_name(load):
    model, passes = load(places=64)
    ask(model, LONG, topics=[make_topic("ferries_on_the_river", "Ä-" * 50)])
    assert holds(model, passes[0], "ferries on the river<<SEP>>")


@pytest.mark.parametrize(
    "planted", ["<<LABEL>>", "<<SEP>> <<EXAMPLE>>", "[SEP] [CLS]", "<<LABEL>>chips<<SEP>>"]
)
def test_marks_in_a_text_or_a_description_are_no_marks(load, planted):
    model, passes = load(places=512)
    topics = [*TOPICS[:2], make_topic("ferries", f"Ferries on {planted} rivers")]
    ask(model, f"{planted} Chips {planted} need {planted}", topics=topics)
    special = set(model._marks) - {model._tokenizer.pad_token_id}
    found = [token for token in passes[0][0].tolist() if token in special]
    assert count_marks(model, passes) == [3]
    assert len(found) == 6  # and <<SEP>>, [CLS] and [SEP]


def test_the_name_tells_the_weights(save):
    name = load_second_reader(str(save())).name
    assert name.startswith("gli-")
    assert load_second_reader(str(save(seed=1))).name != name


def test_nothing_is_said_on_the_screen(save, capfd):
    folder = save()
    capfd.readouterr()
    ask(load_second_reader(str(folder)), TEXT)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named_and_a_pickle_does_not_take_its_place(save, missing):
    folder = save()
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=rf"^TOCSIN_CROSS_ENCODER: .* holds no {missing}"):
        load_second_reader(str(folder))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"class_token_index": 7}, r"has <<LABEL>> as 30522, its config\.json as 7"),
        (
            {"text_token_index": 7, "extract_text_features": True},
            r"has <<SEP>> as 30523, its config\.json as 7",
        ),
        (
            {"hidden_size": 16},
            r"lacks model\.\w+_projector\.linear_1\.bias in the shape \(16,\) \(it has \(32,\)\)",
        ),
        ({"scorer_type": "mlp"}, r"lacks model\.scorer\.mlp"),
    ],
)
def test_a_configuration_that_does_not_fit_its_files_is_named(save, fields, problem):
    folder = save()
    edit_config(folder, **fields)
    with pytest.raises(ModelError, match=rf"^TOCSIN_CROSS_ENCODER: .*{problem}"):
        load_second_reader(str(folder))


def test_a_tokenizer_without_the_marks_is_refused(save, tmp_path):
    folder = save()
    plain = save_transformer(tmp_path / "plain")
    (folder / "tokenizer.json").write_bytes((plain / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match="its tokenizer has no <<LABEL>>"):
        load_second_reader(str(folder))


def test_a_model_that_reads_too_little_is_refused(save):
    with pytest.raises(ModelError, match="reads 32 tokens at a time, and needs 64"):
        load_second_reader(str(save(places=32)))


def test_scores_that_are_no_numbers_are_an_error(load):
    model, _ = load()
    for weights in model._run.pipe.model.parameters():
        weights.data.fill_(np.nan)
    with pytest.raises(ModelError, match="scores that are no numbers"):
        ask(model, TEXT)


def test_half_precision_is_run_in_full(save):
    from safetensors.torch import load_file, save_file

    folder = save()
    path = folder / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    encoder = json.loads((folder / "config.json").read_text())["encoder_config"]
    edit_config(folder, dtype="float16", encoder_config={**encoder, "dtype": "float16"})
    assert np.isfinite(ask(load_second_reader(str(folder)), TEXT)).all()


def test_a_configuration_that_the_library_loads_and_cannot_run_is_refused_at_once(save):
    with pytest.raises(ModelError, match=r"^TOCSIN_CROSS_ENCODER: .* loads but does not run \("):
        load_second_reader(str(save(encoder_layer_id=1)))
