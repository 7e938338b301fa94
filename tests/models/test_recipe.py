"""How a model's own files say that its vectors are made."""

import json

import pytest

from models.recipe import Recipe, read_recipe
from tocsin.errors import ModelError

MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False, "word_embedding_dimension": 8}
CLS = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
BOTH = {"query": "query: ", "passage": "passage: "}


def write(folder, name, value):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def test_a_model_without_these_files_is_pooled_by_the_mean(tmp_path):
    assert read_recipe(tmp_path) == Recipe("mean", "", 512, lower=False)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [(MEAN, "mean"), (CLS, "cls"), ({"pooling_mode": "cls"}, "cls"), ({"pooling_mode": ["mean"]}, "mean")],
)
def test_pooling_is_what_the_file_says(tmp_path, config, pooling):
    write(tmp_path, "1_Pooling/config.json", config)
    assert read_recipe(tmp_path).pooling == pooling


def test_the_pooling_file_is_where_the_list_of_modules_says(tmp_path):
    write(
        tmp_path, "modules.json", [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "p"}]
    )
    write(tmp_path, "p/config.json", CLS)
    write(tmp_path, "1_Pooling/config.json", MEAN)
    assert read_recipe(tmp_path).pooling == "cls"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"pooling_mode_max_tokens": True}, "max_tokens"),
        ({**MEAN, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_mean_tokens": False}, "only mean or cls"),
        ({**MEAN, "include_prompt": False}, "leaves the prompt out"),
        ([], "not what sentence-transformers writes"),
    ],
)
def test_pooling_that_is_not_supported_is_refused(tmp_path, config, said):
    write(tmp_path, "1_Pooling/config.json", config)
    with pytest.raises(ModelError, match=said):
        read_recipe(tmp_path)


def test_a_module_that_would_be_left_out_is_refused(tmp_path):
    write(tmp_path, "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    with pytest.raises(ModelError, match="needs Dense after its transformer"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("config", "prompt"),
    [
        ({"prompts": BOTH}, "query: "),
        ({"prompts": {"query": "query: ", "document": "passage: "}}, "query: "),
        ({"prompts": {"query": "Find: ", "document": ""}}, ""),
        ({"prompts": {"query": "", "document": ""}}, ""),
        ({"prompts": {**BOTH, "sts": "same: "}, "default_prompt_name": "sts"}, "same: "),
        ({"prompts": BOTH, "default_prompt_name": None}, "query: "),
        ({"prompts": None}, ""),
        ({}, ""),
    ],
)
def test_the_prompt_is_the_one_for_texts_that_are_compared(tmp_path, config, prompt):
    write(tmp_path, "config_sentence_transformers.json", config)
    assert read_recipe(tmp_path, name="someone/model").prompt == prompt


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("intfloat/multilingual-e5-small", "query: "),
        ("intfloat/e5-base-v2", "query: "),
        ("intfloat/multilingual-e5-large-instruct", ""),
        ("someone/nite5-small", ""),
        ("someone/bge-small", ""),
    ],
)
def test_e5_gets_its_prompt_though_its_files_name_none(tmp_path, name, prompt):
    assert read_recipe(tmp_path, name=name).prompt == prompt


def test_length_and_case_are_what_the_file_says(tmp_path):
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": True})
    assert read_recipe(tmp_path) == Recipe("mean", "", 128, lower=True)
    write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 8192})
    assert read_recipe(tmp_path).max_tokens == 512


def test_a_file_that_is_not_json_is_named(tmp_path):
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(ModelError, match=r"modules\.json cannot be read"):
        read_recipe(tmp_path)
