"""The shipped encoder in float, for graphics processors: the same vectors, alone and in batches."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from models.encode import FOLDER, load_encoder
from models.manifest import mark_files, read_manifest
from models.onnx_session import offered_providers
from models.providers import CPU, short_name
from models.reference import TEXTS, TOLERANCE
from models.story_events import FOLDER as EVENTS
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import ModelError, SettingsError

onnx = pytest.importorskip("onnx", reason="onnx is only in the environment that rebuilds the encoder")


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    from models.float_graph import write_float_encoder

    folder = tmp_path_factory.mktemp("float")
    write_float_encoder(FOLDER, folder)
    return folder


def test_its_vectors_and_its_revision_are_those_of_the_shipped_encoder(floats, encoder):
    found = load_encoder(floats)
    assert (found.revision, found.languages) == (encoder.revision, encoder.languages)
    cosines = (found.embed(TEXTS) * encoder.embed(TEXTS)).sum(axis=1)
    assert TOLERANCE <= cosines.min() < 0.9999


def test_it_holds_no_operator_but_onnx_own_and_no_rounding_of_activations(floats):
    nodes = onnx.load(floats / "model.onnx").graph.node
    assert {node.domain for node in nodes} == {""}
    assert not [node.op_type for node in nodes if "Quant" in node.op_type]


def test_several_texts_may_run_together_in_it(floats):
    alone, together = load_encoder(floats), load_encoder(floats, setup=EncoderSetup(batch=4))
    assert not alone.depends_on_neighbours()
    np.testing.assert_allclose(together.embed(TEXTS), alone.embed(TEXTS), atol=1e-5)


def test_every_provider_that_is_here_runs_it(floats, encoder):
    for name in offered_providers():
        if name != CPU:
            try:
                other = load_encoder(floats, setup=EncoderSetup((short_name(name),), batch=4))
            except SettingsError as error:
                pytest.skip(str(error))
            assert ((other.embed(TEXTS) * encoder.embed(TEXTS)).sum(axis=1) >= TOLERANCE).all()


def test_the_encoder_of_stories_can_be_written_in_float_too(tmp_path):
    from models.float_graph import write_float_encoder

    write_float_encoder(EVENTS, tmp_path)
    assert load_encoder(tmp_path).revision == load_encoder(EVENTS).revision


def test_a_graph_that_gives_other_vectors_is_refused(tmp_path, folder_copy, edit_manifest):
    from models.float_graph import write_float_encoder

    config = json.loads((folder_copy / "config.json").read_text())
    (folder_copy / "config.json").write_text(json.dumps(config | {"num_attention_heads": 6}))
    marks = mark_files(folder_copy, read_manifest(FOLDER).files)
    edit_manifest(folder_copy, files={name: asdict(mark) for name, mark in marks.items()})
    with pytest.raises(ModelError, match="its vectors are not those of"):
        write_float_encoder(folder_copy, tmp_path / "out")
