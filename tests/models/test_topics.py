from __future__ import annotations

import json

import pytest

from models.topics import default_topics, load_topics
from tocsin.errors import TopicError

GOOD = {"name": "rivers", "description": "Rivers and what happens on them.", "examples": ["Ferry runs again"]}
NAMES = [
    "export_controls",
    "data_privacy",
    "open_weights",
    "ai_regulation",
    "compute_infrastructure",
    "ai_safety",
    "censorship",
    "market_impact",
    "device_bans",
    "us_china_rivalry",
]


@pytest.fixture
def load(tmp_path):
    def write_and_load(content: object):
        path = tmp_path / "mine.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return load_topics(path)

    return write_and_load


def test_the_default_topics_are_the_ten_with_examples_for_and_against():
    topics = default_topics()
    assert [topic.name for topic in topics] == NAMES
    assert all(8 <= len(topic.examples) <= 15 for topic in topics)
    assert all(4 <= len(topic.counter_examples) <= 8 for topic in topics)
    phrases = [phrase for topic in topics for phrase in topic.examples + topic.counter_examples]
    assert len(set(phrases)) == len(phrases)


def test_a_list_and_a_mapping_and_yaml_and_json_are_the_same(load):
    fields = "name: rivers\n  description: Rivers and what happens on them.\n  examples: [Ferry runs again]\n"
    yaml_text = f"topics:\n- {fields}"
    assert load([GOOD]) == load({"topics": [GOOD]}) == load(yaml_text)
    assert load(b"\xef\xbb\xbf" + yaml_text.encode())[0].name == "rivers"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exampels": []}, r"topic 'rivers': field 'exampels' is unknown: did you mean 'examples'\?"),
        ({"zzz": 1}, r"field 'zzz' is unknown: the fields are name, description, examples"),
        (
            {"threshold": 2.0},
            r"topic 'rivers': field 'threshold' is 2\.0: input should be less than or equal to 1",
        ),
        ({"threshold": "high"}, r"field 'threshold' is 'high': input should be a valid number"),
        (
            {"sensitivity": "loud"},
            r"field 'sensitivity' is 'loud': input should be 'fewer', 'balanced' or 'more'",
        ),
        ({"name": "My Rivers"}, r"topic 'My Rivers': field 'name' is 'My Rivers': use small letters"),
        ({"name": 7}, r"topic 1: field 'name' is 7: input should be a valid string"),
        ({"description": "short"}, r"field 'description' is 'short'"),
        ({"examples": ["fine here", ""]}, r"field 'examples', item 2 is ''"),
        ({"examples": "one text"}, r"field 'examples' is 'one text'"),
        (
            {"threshold": 9, "sensitivty": 1},
            r"threshold.*; field 'sensitivty' is unknown: did you mean 'sensitivity'",
        ),
    ],
)
def test_a_wrong_field_is_named_with_file_topic_and_advice(load, change, message):
    with pytest.raises(TopicError, match=rf"mine\.yaml: .*{message}"):
        load([{**GOOD, **change}])


def test_a_missing_field_is_named(load):
    with pytest.raises(TopicError, match=r"topic 'rivers': field 'description' is missing: add it"):
        load([{"name": "rivers"}])


def test_a_long_wrong_value_is_shortened(load):
    with pytest.raises(TopicError) as caught:
        load([{**GOOD, "name": "x" * 5000}])
    assert len(str(caught.value)) < 6000
    assert "…" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "defines no topics"),
        ("[]", "defines no topics"),
        ("topics:\n", "defines no topics"),
        ("name: rivers", "has no `topics`"),
        ({"topics": [GOOD], "version": 2}, "unknown key 'version'"),
        ("just words", "is not a list of topics"),
        ("- rivers", "topic 1 is not a mapping"),
        ("topics: [a, b", "is not valid YAML or JSON: .*line 1"),
        ("- name: !!python/object:os.system x", "is not valid YAML or JSON"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        ([GOOD, {**GOOD, "description": "Another description."}], "topics 1 and 2 are both named 'rivers'"),
    ],
)
def test_a_file_that_holds_no_topics_says_why(load, content, message):
    with pytest.raises(TopicError, match=rf"mine\.yaml: .*{message}"):
        load(content)


def test_a_file_that_is_not_there_or_a_folder_is_a_topic_error(tmp_path):
    with pytest.raises(TopicError, match=r"no\.yaml: cannot be read \(No such file"):
        load_topics(tmp_path / "no.yaml")
    with pytest.raises(TopicError, match="cannot be read"):
        load_topics(tmp_path)
