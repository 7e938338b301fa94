from __future__ import annotations

import shutil

import numpy as np
import pytest

from models.encode import FOLDER, load_encoder
from models.manifest import Manifest, mark_files, write_manifest
from tocsin.errors import ModelError

pytest.importorskip("onnx", reason="onnx is only in the environment that rebuilds the encoder")
CONFIG = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "layer_norm_eps": 1e-12}


def random_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of a tiny BERT with the shipped vocabulary."""
    rng = np.random.default_rng(seed)
    shapes = {"embeddings.word_embeddings": (30522, 32), "embeddings.position_embeddings": (64, 32)}
    shapes["embeddings.token_type_embeddings"] = (2, 32)
    norms = ["embeddings.LayerNorm"]
    for i in range(2):
        layer = f"encoder.layer.{i}."
        shapes |= {f"{layer}attention.self.{part}": (32, 32) for part in ("query", "key", "value")}
        shapes |= {f"{layer}attention.output.dense": (32, 32), f"{layer}intermediate.dense": (64, 32)}
        shapes |= {f"{layer}output.dense": (32, 64)}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    weights = {
        f"{name}.weight": rng.normal(size=shape).astype(np.float32) / 4 for name, shape in shapes.items()
    }
    weights |= {
        f"{name}.bias": np.zeros(shape[0], np.float32) for name, shape in shapes.items() if "dense" in name
    }
    weights |= {f"{name}.bias": np.zeros(32, np.float32) for name in shapes if "self" in name}
    weights |= {f"{name}.weight": np.ones(32, np.float32) for name in norms}
    return weights | {f"{name}.bias": np.zeros(32, np.float32) for name in norms}


@pytest.fixture
def tiny_folder(tmp_path):
    from models.build_graph import build_graph

    model = build_graph(random_weights(), CONFIG)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    names = ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    for name in names:
        shutil.copy(FOLDER / name, tmp_path)
    files = mark_files(tmp_path, ["model.onnx", *names])
    write_manifest(tmp_path, Manifest("tiny-1", 32, 64, files, {"made": "by a test"}))
    return tmp_path


def test_an_encoder_of_another_size_loads_from_its_folder(tiny_folder):
    encoder = load_encoder(tiny_folder, threads=2)
    vectors = encoder.embed(["a short text", "another one, a little longer", "word " * 500])
    assert (encoder.revision, vectors.shape) == ("tiny-1", (3, 32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_same_weights_write_the_same_bytes():
    from models.build_graph import build_graph

    first, second = (
        build_graph(random_weights(), CONFIG).SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second


def test_padding_does_not_change_a_row(tiny_folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(tiny_folder / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.array([[101, 2000, 2001, 102, 0, 0], [101, 2000, 2001, 102, 77, 102]], np.int32)
    mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32)
    padded = session.run(None, {"input_ids": ids, "attention_mask": mask})[0][0, :4].ravel()
    alone = session.run(None, {"input_ids": ids[:1, :4], "attention_mask": mask[:1, :4]})[0][0].ravel()
    # The activations' scale is shared by the batch, so equal only nearly.
    assert padded @ alone / np.linalg.norm(padded) / np.linalg.norm(alone) > 0.99


def test_source_weights_that_differ_are_refused(tmp_path):
    from models.build_encoder import SHA256, open_source

    for name in SHA256:
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(ModelError, match=r"model\.safetensors is not the expected file"):
        open_source(tmp_path, tmp_path)
