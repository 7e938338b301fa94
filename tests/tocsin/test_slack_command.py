"""`tocsin slack check` as a person runs it."""

import json

import pytest
import yaml
from click.testing import CliRunner

from tocsin.cli.slack import slack as command
from tocsin.errors import SettingsError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run in a working folder without settings but those that are given."""
    for name in ("TOCSIN_TOPICS", "TOCSIN_CONFIG", "SLACK_BOT_TOKEN", "TOCSIN_OPERATOR_CHANNEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **environment):
        done = CliRunner().invoke(command, ["check", *arguments], env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


@pytest.fixture
def environment(slack_emulator):
    name, _ = slack_emulator.create_channel()
    return {
        "SLACK_BOT_TOKEN": slack_emulator.token,
        "TOCSIN_SLACK_API_URL": slack_emulator.base_url,
        "TOCSIN_SLACK_CHANNEL": f"#{name}",
    }


def test_without_a_token_it_says_what_to_do(run):
    with pytest.raises(SettingsError, match=r"SLACK_BOT_TOKEN is not set: docs/slack.md"):
        run()


@pytest.mark.slack
def test_every_channel_in_use_is_checked_and_the_exit_code_tells(run, environment, tmp_path):
    done = run("--send", **environment)
    assert done.exit_code == 0, done.output
    assert done.output.endswith("Slack is ready.\n")
    topics = [
        {"name": "own_one", "description": "Something to watch for.", "channel": "#of-the-topic"},
        {"name": "own_two", "description": "Something else to watch."},
    ]
    (tmp_path / "topics.yaml").write_text(yaml.safe_dump(topics))
    more = {"TOCSIN_TOPICS": str(tmp_path / "topics.yaml"), "TOCSIN_OPERATOR_CHANNEL": "#ops"}
    done = run(**environment, **more)
    assert done.exit_code == 1
    assert "PROBLEM  of-the-topic: the channel does not exist" in done.output
    assert "(used by: own_one)" in done.output
    assert "(used by: operator)" in done.output
    assert "(used by: default)" in done.output


@pytest.mark.slack
def test_one_channel_and_json(run, environment):
    done = run("--channel", "#nowhere", "--json", **environment)
    found = json.loads(done.output)
    assert (done.exit_code, found["is_usable"]) == (1, False)
    assert {each["subject"] for each in found["findings"]} == {"token", "scopes", "nowhere"}
    assert environment["SLACK_BOT_TOKEN"] not in done.output
