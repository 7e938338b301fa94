"""`tocsin topics`: changes are kept with who made them, and every version comes back."""

import json

import pytest
import yaml
from click.testing import CliRunner

from flows.topic_store import load_topic_history, recorded_topics
from models.topics import default_topics
from tocsin.cli.topics import topics
from tocsin.errors import StorageError, TocsinError, TopicError
from tocsin.settings import load_settings

CABLES = "description=Cuts of undersea cables, and who repairs them."


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_USER", "ada")
    return tmp_path


def ask(*arguments):
    result = CliRunner().invoke(topics, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def used():
    return {topic.name: topic for topic in recorded_topics(load_settings())}


def test_before_anything_is_recorded_the_defaults_are_listed():
    listed = json.loads(ask("list", "--json"))
    assert [each["name"] for each in listed] == [topic.name for topic in default_topics()]
    assert {each["recorded_by"] for each in listed} == {None}
    assert "not recorded yet" in ask("list")
    assert "Nothing was recorded" in ask("history")


def test_a_change_is_recorded_with_who_made_it_and_what_it_changed():
    said = ask("set", "ai_safety", "threshold=0.6", "examples+=Lab finds a new jailbreak")
    assert "examples +1; threshold empty → 0.6" in said
    assert used()["ai_safety"].threshold == 0.6
    events = json.loads(ask("history", "ai_safety", "--json"))
    assert [(each["what"], each["by"]) for each in events] == [("added", None), ("changed", "ada")]
    fields = {change["field"]: change for change in events[-1]["changes"]}
    assert fields["examples"]["added"] == ["Lab finds a new jailbreak"]
    assert (fields["threshold"]["before"], fields["threshold"]["after"]) == (None, 0.6)


def test_a_version_comes_back_also_of_a_topic_that_was_removed():
    ask("set", "cables", CABLES)
    first = used()["cables"].version
    ask("set", "cables", "channel=#cables", "threshold=0.9")
    second = used()["cables"].version
    ask("remove", "cables")
    assert "cables" not in used()
    ask("restore", "cables", first[:6])
    assert used()["cables"].version == first
    ask("restore", "cables", second)
    assert used()["cables"].channel == "#cables"
    whats = [each["what"] for each in json.loads(ask("history", "cables", "--json"))]
    assert whats == ["added", "changed", "removed", "added", "changed"]


def test_a_difference_is_between_the_last_two_versions_unless_others_are_named():
    ask("set", "cables", CABLES, 'examples=["Anchor cuts cable", "Repair ship sails"]')
    ask("set", "cables", "examples-=Anchor cuts cable")
    first, second = load_topic_history(load_settings()).versions_of("cables")
    said = ask("diff", "cables")
    assert f"{first} → {second}" in said
    assert "- Anchor cuts cable" in said
    turned = json.loads(ask("diff", "cables", second, first, "--json"))
    assert turned["changes"][0]["added"] == ["Anchor cuts cable"]
    assert json.loads(ask("diff", "cables", first, "--json"))["after"] == second


def test_what_was_exported_is_imported_equal(folder):
    ask("set", "cables", CABLES, "mute_until=2026-12-01T08:00:00+01:00", "daily_budget=3")
    whole = used()
    for name in ("all.yaml", "all.json"):
        ask("export", name)
        ask("import", name, "--replace")
        assert used() == whole
    one = folder / "one.yaml"
    one.write_text(ask("show", "cables").replace("undersea", "subsea"), encoding="utf-8")
    ask("import", "one.yaml")
    assert "subsea" in used()["cables"].description
    assert len(used()) == len(whole)
    ask("import", "one.yaml", "--replace")
    assert list(used()) == ["cables"]
    assert yaml.safe_load(ask("export"))["topics"][0]["daily_budget"] == 3
    assert json.loads(ask("export", "--json"))["topics"][0]["name"] == "cables"


def test_importing_a_file_first_does_not_record_the_defaults(folder):
    (folder / "mine.yaml").write_text(f"- name: cables\n  {CABLES.replace('=', ': ')}\n", encoding="utf-8")
    ask("import", "mine.yaml", "--replace")
    assert [each["topic"] for each in json.loads(ask("history", "--json"))] == ["cables"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "ai_safety", "threshold=7"], "'threshold' is '7': input should be less than or equal to 1"),
        (["set", "ai_safety", "languages=English"], "two small letters"),
        (["set", "ai_safety", "channels+=no channel"], "name a channel as in #policy"),
        (["set", "ai_safety", "must=!?"], "no letter or digit"),
        (["set", "ai_safety", "sensitivity=loud"], "choose fewer, balanced or more"),
        (["set", "ai_safety", "mute_until=tomorrow"], "give a time with its zone"),
        (["set", "ai_safety", "treshold=0.7"], "did you mean 'threshold'"),
        (["set", "ai_safety", "threshold"], "write FIELD=VALUE"),
        (["set", "ai_safety", "threshold+=1"], "is no list"),
        (["set", "ai_safety", "name=other"], "keeps its name"),
        (["set", "ai_safety", "examples-=never there"], "is not in it"),
        (["set", "ai_safety", "examples=[oh"], "not valid JSON"),
        (["set", "new_topic", "threshold=0.5"], "'description' is missing: add it"),
        (["remove", "unheard_of"], "there is no such topic; there are export_controls"),
        (["show", "unheard_of"], "there is no such topic"),
        (["restore", "ai_safety", "abc"], "no version of such a topic was ever recorded"),
    ],
)
def test_a_wrong_change_is_refused_with_what_to_do_and_changes_nothing(arguments, message):
    with pytest.raises(TopicError, match=message):
        CliRunner().invoke(topics, arguments, catch_exceptions=False)
    assert used() == {topic.name: topic for topic in default_topics()}


def test_the_last_topic_cannot_be_removed():
    ask("set", "cables", CABLES)
    ask("remove", *(name for name in used() if name != "cables"))
    with pytest.raises(TopicError, match="nothing to watch"):
        CliRunner().invoke(topics, ["remove", "cables"], catch_exceptions=False)


def test_people_are_told_when_a_file_goes_before_what_they_change(folder, monkeypatch):
    (folder / "mine.yaml").write_text(f"- name: cables\n  {CABLES.replace('=', ': ')}\n", encoding="utf-8")
    monkeypatch.setenv("TOCSIN_TOPICS", "mine.yaml")
    result = CliRunner().invoke(topics, ["set", "cables", "threshold=0.9"], catch_exceptions=False)
    assert "TOCSIN_TOPICS is set" in result.stderr


def test_one_version_makes_no_difference():
    ask("set", "cables", CABLES)
    result = CliRunner().invoke(topics, ["diff", "cables"])
    assert result.exit_code == 1
    assert "a difference needs two" in result.output
    assert not isinstance(result.exception, TocsinError | StorageError)
