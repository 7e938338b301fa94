"""An encoder that torch runs: the real loading code on tiny models with random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from models.choose import open_encoder
from models.explain import Match, explain_matches
from models.few_label import Label
from models.heads import build_heads
from models.topics import default_topics
from tocsin.errors import ModelError

sys.path.insert(0, str(Path(__file__).parent))
from tiny_models import save_sentence_encoder, save_transformer, write

torch = pytest.importorskip("torch", reason="torch is only in the environment of the extra `torch`")
TEXTS = ["Ministers agree on rules for chips.", "Rain", "", "Der Rat berät.", "word " * 100] * 5


def reference(folder, text, *, pooling):
    """What sentence-transformers does, written out for one text."""
    from transformers import AutoModel, AutoTokenizer

    inputs = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0].numpy()
    vector = states.mean(axis=0) if pooling == "mean_tokens" else states[0]
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
@pytest.mark.parametrize("prompt", ["", "query: "])
def test_vectors_are_those_of_the_models_own_recipe(tmp_path, pooling, prompt):
    prompts = {"query": prompt, "passage": "passage: "} if prompt else None
    folder = save_sentence_encoder(tmp_path / "tiny", pooling=pooling, prompts=prompts)
    encoder = open_encoder(str(folder))
    vectors = encoder.embed(TEXTS)
    assert (vectors.shape, vectors.dtype, encoder.dimensions) == ((25, 32), np.float32, 32)
    for text, vector in zip(TEXTS[:5], vectors[:5], strict=True):
        np.testing.assert_allclose(vector, reference(folder, prompt + text, pooling=pooling), atol=1e-5)


def test_neighbours_and_order_hardly_move_a_vector(tmp_path):
    encoder = open_encoder(str(save_sentence_encoder(tmp_path / "tiny")))
    together = encoder.embed(TEXTS)
    np.testing.assert_allclose(encoder.embed(TEXTS[::-1])[::-1], together, atol=1e-5)
    np.testing.assert_allclose(
        np.vstack([encoder.embed([text]) for text in TEXTS[:5]]), together[:5], atol=1e-5
    )


def test_no_texts_give_no_rows_and_progress_ends_at_the_total(tmp_path):
    encoder = open_encoder(str(save_sentence_encoder(tmp_path / "tiny")))
    assert encoder.embed([]).shape == (0, 32)
    seen = []
    encoder.embed(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(16, 25), (25, 25)]


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_the_mean_of_the_tokens_is_the_vector_and_spans_leave_the_prompt_out(tmp_path, pooling):
    prompts = {"query": "query: ", "passage": "passage: "}
    encoder = open_encoder(str(save_sentence_encoder(tmp_path / "tiny", pooling=pooling, prompts=prompts)))
    text = "Chips and rules"
    (tokens,) = encoder.embed_tokens([text])
    mean = tokens.states.mean(axis=0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), encoder.embed([text])[0], atol=1e-5)
    assert [text[a:b] for a, b in tokens.spans if b > a] == ["Chips", "and", "rules"]


def test_the_revision_changes_with_the_weights_and_with_the_recipe(tmp_path):
    one = save_sentence_encoder(tmp_path / "tiny")
    first = open_encoder(str(one)).revision
    assert first.startswith("tiny-fp32-")
    assert open_encoder(str(one)).revision == first
    other = save_sentence_encoder(tmp_path / "b" / "tiny", seed=1)
    write(one / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    assert len({first, open_encoder(str(other)).revision, open_encoder(str(one)).revision}) == 3


def test_nothing_is_printed_while_a_model_loads_and_runs(tmp_path, capfd):
    folder = save_sentence_encoder(tmp_path / "tiny")
    capfd.readouterr()
    open_encoder(str(folder)).embed(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_languages_are_what_the_person_says(tmp_path):
    folder = str(save_sentence_encoder(tmp_path / "tiny"))
    assert open_encoder(folder).covers("zh")
    assert not open_encoder(folder, languages=("en", "de")).covers("zh")


def test_a_model_without_the_files_of_sentence_transformers_is_pooled_by_the_mean(tmp_path):
    folder = save_transformer(tmp_path / "bare")
    (vector,) = open_encoder(str(folder)).embed(["Rain"])
    np.testing.assert_allclose(vector, reference(folder, "Rain", pooling="mean_tokens"), atol=1e-5)


def test_a_model_that_lacks_weights_is_refused_instead_of_run_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = save_sentence_encoder(tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layer.1.attention" in name)
    save_file({k: v for k, v in weights.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"TOCSIN_ENCODER: .* is no whole model of its kind: it lacks .*layer\.1"
    ):
        open_encoder(str(folder))


def test_code_in_a_model_is_never_run(tmp_path):
    folder = save_transformer(tmp_path / "tiny")
    marker = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: pass\nclass Config: pass\n")
    write(
        folder / "config.json",
        {"model_type": "evil", "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}},
    )
    with pytest.raises(ModelError, match=r"^TOCSIN_ENCODER: .* cannot be loaded"):
        open_encoder(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_file_is_an_error_that_names_the_setting(tmp_path, name):
    folder = save_sentence_encoder(tmp_path / "tiny")
    (folder / name).write_bytes(b"{")
    with pytest.raises(ModelError, match=r"^TOCSIN_ENCODER: "):
        open_encoder(str(folder))


def test_no_fitted_or_zero_shot_weights_meet_vectors_of_another_encoder(tmp_path, caplog):
    encoder = open_encoder(str(save_sentence_encoder(tmp_path / "tiny")))
    topics = default_topics()[:3]
    heads = build_heads(topics, encoder, labels={topics[0].name: [Label("Chips", positive=True)]})
    assert set(heads.names) == {"plain-1"}
    assert heads.encoder_revision == encoder.revision
    assert f"heads.fell_back encoder={encoder.revision} head=plain-1 ignored_labels=1" in caplog.text
    scores = heads.score(encoder.embed(TEXTS), TEXTS)
    assert scores.shape == (25, 3)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_matches_are_explained_with_any_encoder(tmp_path):
    encoder = open_encoder(str(save_sentence_encoder(tmp_path / "tiny", pooling="cls_token")))
    topics = default_topics()[:2]
    heads = build_heads(topics, encoder)
    match = Match("Chips need a licence", "The ministry said so. Rain fell.", topics[0].name, 0.7)
    (reason,) = explain_matches(encoder, heads, [match])
    assert reason.sentence
    assert (reason.head, reason.encoder_revision) == ("plain-1", encoder.revision)
