from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encode import FOLDER, load_encoder
from models.manifest import read_manifest, verify_files
from tocsin.errors import ModelError

ROOT = Path(__file__).parents[2]
REFERENCE = json.loads((Path(__file__).parent / "reference_vectors.json").read_text())
TEXTS = [
    "Ministers agree on rules for chips.",
    "Rain",
    "A long report about the village choir and its many travels through the hills. " * 5,
    "",
    "Der Rat berät.",
] * 8


def test_vectors_agree_with_torch_in_float32(encoder):
    vectors = encoder.embed([pair["text"] for pair in REFERENCE])
    cosines = (vectors * np.array([pair["vector"] for pair in REFERENCE])).sum(axis=1)
    assert cosines.min() >= 0.98
    assert cosines.mean() >= 0.99


def test_vectors_are_float32_unit_rows(encoder):
    vectors = encoder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.dimensions) == (40, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(encoder):
    assert encoder.embed([]).shape == (0, 384)


def test_a_vector_depends_neither_on_its_neighbours_nor_on_the_order(encoder):
    together = encoder.embed(TEXTS)
    np.testing.assert_array_equal(encoder.embed(TEXTS[::-1])[::-1], together)
    np.testing.assert_array_equal(np.vstack([encoder.embed([text]) for text in TEXTS[:5]]), together[:5])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=80), max_size=3))
def test_any_text_can_be_embedded(encoder, texts):
    vectors = encoder.embed(texts)
    assert vectors.shape == (len(texts), 384)
    assert np.isfinite(vectors).all()


def test_meaning_decides_similarity(encoder):
    chips, licences, choir = encoder.embed(
        [
            "Government limits exports of chips",
            "New licences for shipping semiconductors abroad",
            "The choir sang well",
        ]
    )
    assert chips @ licences > 0.4
    assert chips @ choir < 0.2


def test_a_text_is_cut_at_the_token_limit(encoder, folder_copy, edit_manifest):
    edit_manifest(folder_copy, max_tokens=8)
    short = load_encoder(folder_copy, threads=1)
    head = "one two three four five six"  # six words between the two special tokens
    np.testing.assert_array_equal(short.embed([head + " seven eight"]), short.embed([head]))
    assert not np.array_equal(encoder.embed([head + " seven eight"]), encoder.embed([head]))


def test_progress_ends_at_the_total(encoder):
    seen: list[tuple[int, int]] = []
    encoder.embed(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(TEXTS), len(TEXTS))


def test_a_failure_in_a_worker_reaches_the_caller(encoder):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.embed(TEXTS, progress=stop)
    with pytest.raises((TypeError, AttributeError)):
        encoder.embed(["fine", 7])  # type: ignore[list-item]


def test_the_revision_names_the_weights(encoder):
    manifest = read_manifest(FOLDER)
    assert encoder.revision == manifest.revision
    assert manifest.files["model.onnx"].sha256.startswith(encoder.revision.rsplit("-", 1)[1])
    assert manifest.files["model.onnx"].size < 30_000_000


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_missing_file_is_named_with_the_command_that_restores_it(folder_copy, name):
    (folder_copy / name).unlink()
    with pytest.raises(
        ModelError, match=rf"{name} is missing.*make encoder.*git checkout -- models/encoder"
    ) as caught:
        load_encoder(folder_copy)
    assert caught.value.path == folder_copy / name


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-9] + b"x" + data[-8:]])
def test_a_damaged_file_is_named(folder_copy, damage):
    path = folder_copy / "tokenizer.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"tokenizer\.json is corrupt.*make encoder"):
        load_encoder(folder_copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {"model.onnx": {}}}', "\x00"])
def test_a_damaged_manifest_is_named(folder_copy, text):
    (folder_copy / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json is not a readable manifest.*make encoder"):
        load_encoder(folder_copy)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere/manifest\.json is missing"):
        load_encoder(tmp_path / "nowhere")


def test_a_model_that_is_no_graph_is_named(folder_copy, edit_manifest):
    (folder_copy / "model.onnx").unlink()
    (folder_copy / "model.onnx").write_bytes(b"no graph")
    edit_manifest(folder_copy, files={})
    with pytest.raises(ModelError, match=r"model\.onnx cannot be run.*make encoder"):
        load_encoder(folder_copy)


def test_the_shipped_encoder_is_loaded_without_transformers_whose_import_takes_seconds():
    told = (
        "import sys; from models.encode import load_encoder; load_encoder().embed(['a']); print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tokenizers" in run.stdout.split()
    assert "transformers" not in run.stdout.split()


def test_a_tokenizer_that_is_none_is_named(folder_copy, edit_manifest):
    (folder_copy / "tokenizer.json").write_text("{}")
    edit_manifest(folder_copy, files={})
    with pytest.raises(ModelError, match="no usable fast tokenizer"):
        load_encoder(folder_copy)


@pytest.mark.parametrize(
    ("languages", "language", "covered"),
    [
        (["en"], "en", True),
        (["en"], "de", False),
        (["en"], None, True),
        (["en", "de"], "de", True),
        ([], "de", True),
        (None, "de", True),
    ],
    ids=["covered", "foreign", "unknown", "second", "an empty list means all", "no list means all"],
)
def test_an_encoder_says_which_languages_it_covers(folder_copy, edit_manifest, languages, language, covered):
    edit_manifest(folder_copy, languages=languages or [])
    if languages is None:
        path = folder_copy / "manifest.json"
        path.write_text(
            json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "languages"})
        )
    assert load_encoder(folder_copy).covers(language) is covered


@pytest.mark.parametrize("languages", ["en", 7, [7], None])
def test_a_manifest_whose_languages_are_no_list_is_named(folder_copy, edit_manifest, languages):
    edit_manifest(folder_copy, languages=languages)
    with pytest.raises(ModelError, match=r"manifest\.json is not a readable manifest"):
        load_encoder(folder_copy)


def test_the_shipped_encoder_covers_english_only(encoder):
    assert encoder.languages == {"en"}


def test_the_shipped_files_are_all_in_the_manifest():
    manifest = read_manifest(FOLDER)
    verify_files(FOLDER, manifest)
    assert {path.name for path in FOLDER.iterdir()} - set(manifest.files) == {
        "NOTICE",
        "README.md",
        "manifest.json",
    }


def test_nothing_is_printed_while_the_encoder_loads():
    code = "from models.encode import load_encoder; load_encoder().embed(['a'])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, check=True, timeout=60)
    assert done.stdout == done.stderr == b""
