"""The gate: what falls under a floor is named, floors only rise, and missing data skip with a reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import gate as module
from models.evaluate import Evaluation, measure
from models.gate import MEAN, Gate, find_falls, hold_gate, raise_floors, read_gate, show_falls, write_gate
from models.topics import default_topics
from tocsin.errors import ModelError


def evaluation(hits: int, *, alarms: int = 0, positives: int = 10, name: str = "aa") -> Evaluation:
    """One topic: of `positives` so many are hit, beside so many false alarms among 50 others."""
    positive = np.arange(positives + 50) < positives
    scores = np.where(positive, np.arange(positives + 50) < hits, np.arange(positives + 50) >= 60 - alarms)
    figures = measure(positive, np.where(scores, 0.9, 0.1).astype(np.float32), 0.5)
    means = {each: getattr(figures, each) for each in ("ap", "precision", "recall", "f1", "brier", "ece")}
    return Evaluation(len(positive), {name: figures}, means)


def a_gate(**floors) -> Gate:
    return Gate("dev.jsonl", "abc", "enc", {"aa": {"ap": 0.5, "f1": 0.5, **floors}})


def test_a_figure_at_its_floor_holds_and_one_under_it_falls():
    f1 = evaluation(8).topics["aa"].f1
    assert find_falls(a_gate(f1=f1), evaluation(8)) == []
    (fall,) = find_falls(a_gate(f1=f1 + 0.001), evaluation(8))
    assert (fall.topic, fall.measure) == ("aa", "f1")


def test_what_fell_deepest_comes_first_in_the_table():
    falls = find_falls(a_gate(ap=0.75, f1=0.99), evaluation(4))
    table = show_falls(falls).splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["aa", "f1"], ["aa", "ap"]]


def test_a_topic_that_is_gone_has_fallen():
    falls = find_falls(a_gate(), evaluation(8, name="bb"))
    assert {(fall.topic, fall.found) for fall in falls} == {("aa", None)}
    assert show_falls(falls).splitlines()[1].endswith("-")


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10))
def test_floors_never_sink_and_hold_right_after_they_were_raised(first, second, alarms):
    floors = raise_floors({}, evaluation(first))
    raised = raise_floors(floors, evaluation(second, alarms=alarms))
    assert all(raised[topic][name] >= floors[topic][name] for topic in floors for name in floors[topic])
    assert find_falls(replace(a_gate(), floors=floors), evaluation(first)) == []


def test_one_lost_hit_is_allowed_and_two_are_not():
    gate = replace(a_gate(), floors=raise_floors({}, evaluation(8)))
    lost = {
        hits: [fall.measure for fall in find_falls(gate, evaluation(hits)) if fall.topic == "aa"]
        for hits in (7, 6)
    }
    assert "f1" not in lost[7]
    assert "f1" in lost[6]


def test_the_floors_are_read_back_as_written(tmp_path):
    write_gate(a_gate(), tmp_path / "gate.json")
    assert read_gate(tmp_path / "gate.json") == a_gate()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"file": "a", "sha256": "b", "encoder_revision": "c", "floors": {}}']
)
def test_a_broken_file_of_floors_is_named(tmp_path, text):
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(ModelError, match=r"gate\.json (cannot be read|holds no floors)"):
        read_gate(tmp_path / "gate.json")


def test_without_the_data_the_gate_is_skipped_with_a_reason_but_writes_nothing(tmp_path):
    before = module.PATH.read_bytes()
    said, holds = hold_gate(tmp_path)
    assert (said.startswith("gate skipped"), holds) == (True, True)
    assert "dev.jsonl is not here" in said
    assert hold_gate(tmp_path, write=True)[1] is False
    assert module.PATH.read_bytes() == before


def test_other_data_than_those_of_the_floors_are_refused(tmp_path):
    (tmp_path / "dev.jsonl").write_text('{"title": "Another file"}\n')
    with pytest.raises(ModelError, match="not the file that the floors"):
        hold_gate(tmp_path)


def test_the_shipped_floors_cover_every_default_topic():
    gate = read_gate()
    assert set(gate.floors) == {topic.name for topic in default_topics()} | {MEAN}
    assert all(0 < floor < 1 for floors in gate.floors.values() for floor in floors.values())


def test_a_floor_above_what_is_measured_fails_and_is_not_lowered(eval_folder, tmp_path):
    data = json.loads(module.PATH.read_text())
    data["floors"]["ai_safety"]["ap"] = 0.999
    path = tmp_path / "gate.json"
    path.write_text(json.dumps(data))
    said, holds = hold_gate(eval_folder, path=path, write=True)
    assert not holds
    assert "ai_safety" in said
    assert read_gate(path).floors["ai_safety"]["ap"] == 0.999
