from datetime import time
from ipaddress import ip_network
from pathlib import Path

import pytest

from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError
from tocsin.settings import export_prefect_defaults, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    import os

    for name in list(os.environ):
        if name.startswith(("TOCSIN_", "SLACK_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_everything_has_a_default():
    settings = load_settings()
    assert settings.data == Path("data")
    assert settings.slack_bot_token is None
    assert settings.slack_base_url == "https://slack.com/api/"


def test_lists_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("TOCSIN_FEEDS", "a.opml, https://example.org/feed")
    monkeypatch.setenv("TOCSIN_ALLOW_NETWORKS", "127.0.0.0/8, ::1/128")
    settings = load_settings()
    assert settings.feeds == ("a.opml", "https://example.org/feed")
    assert settings.allow_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_the_environment_wins_over_the_file_and_an_option_over_both(monkeypatch, tmp_path):
    Path("tocsin.toml").write_text('data = "from-file"\nslack_channel = "#from-file"\n')
    monkeypatch.setenv("TOCSIN_SLACK_CHANNEL", "#from-environment")
    settings = load_settings(data=tmp_path / "option")
    assert settings.slack_channel == "#from-environment"
    assert settings.data == tmp_path / "option"
    assert load_settings().data == Path("from-file")


def test_quiet_hours_and_outlets_are_read_from_the_environment_and_the_file(monkeypatch):
    assert (load_settings().quiet_hours, load_settings().muted_outlets) == (None, ())
    monkeypatch.setenv("TOCSIN_QUIET_HOURS", " 22:00 - 07:30 ")
    monkeypatch.setenv("TOCSIN_MUTED_OUTLETS", "Spam Daily, Other")
    Path("tocsin.toml").write_text('time_zone = "Europe/Berlin"\nlow_tier_outlets = ["A, B and Sons"]\n')
    settings = load_settings()
    assert settings.quiet_hours == (time(22), time(7, 30))
    assert settings.time_zone == "Europe/Berlin"
    assert settings.muted_outlets == ("Spam Daily", "Other")
    assert settings.low_tier_outlets == ("A, B and Sons",)
    monkeypatch.setenv("TOCSIN_QUIET_HOURS", "")
    assert load_settings().quiet_hours is None


def test_how_the_encoder_is_run_is_read_and_auto_is_the_default(monkeypatch):
    assert load_settings().encoder_setup == EncoderSetup()
    monkeypatch.setenv("TOCSIN_ENCODER_PROVIDERS", "cuda, cpu")
    monkeypatch.setenv("TOCSIN_ENCODER_THREADS", "4")
    monkeypatch.setenv("TOCSIN_ENCODER_BATCH", " Auto ")
    assert load_settings().encoder_setup == EncoderSetup(("cuda", "cpu"), threads=4, batch=None)
    monkeypatch.setenv("TOCSIN_ENCODER_BATCH", "many")
    monkeypatch.setenv("TOCSIN_ENCODER_THREADS", "0")
    with pytest.raises(SettingsError, match=r"TOCSIN_ENCODER_THREADS: .*TOCSIN_ENCODER_BATCH: "):
        load_settings()


def test_an_empty_token_counts_as_none(monkeypatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", " ")
    assert load_settings().slack_bot_token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_ALLOW_NETWORKS", "not-a-network"),
        ("TOCSIN_SLACK_API_URL", "not a url"),
        ("TOCSIN_LOG_LEVEL", "LOUD"),
        ("TOCSIN_CONFIG", "absent.toml"),
        ("TOCSIN_TIME_ZONE", "Europe/Nowhere"),
        ("TOCSIN_TIME_ZONE", "../../etc/passwd"),
        ("TOCSIN_QUIET_HOURS", "22:00"),
        ("TOCSIN_QUIET_HOURS", "22:00-22:00"),
        ("TOCSIN_QUIET_HOURS", "25:00-07:00"),
        ("TOCSIN_MAX_AGE_DAYS", "-1"),
        ("TOCSIN_TUNE_URL", "javascript:alert(1)"),
        ("TOCSIN_TUNE_URL", "https://me:secret@prefect.example/{topic}"),
        ("TOCSIN_UPDATE_MINUTES", "-1"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_setting(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_a_key_that_does_not_exist_is_an_error_without_the_secrets_beside_it():
    Path("tocsin.toml").write_text('datta = "x"\nslack_bot_token = "xoxb-secret"\n')
    with pytest.raises(SettingsError, match="TOCSIN_DATTA") as caught:
        load_settings()
    assert "xoxb-secret" not in str(caught.value)


def test_a_file_that_is_not_toml_is_an_error_that_names_it():
    Path("tocsin.toml").write_text("data = \n")
    with pytest.raises(SettingsError, match=r"tocsin\.toml.*line 1"):
        load_settings()


def test_the_token_does_not_show_in_the_settings(monkeypatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    assert "xoxb-secret" not in repr(load_settings())


def test_prefect_keeps_its_state_in_the_data_folder_unless_it_is_told_otherwise(monkeypatch, tmp_path):
    import os

    environment = {}
    monkeypatch.setattr(os, "environ", environment)
    export_prefect_defaults(load_settings(data=tmp_path))
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    environment.clear()
    environment["PREFECT_API_URL"] = "http://127.0.0.1:4200/api"
    export_prefect_defaults(load_settings(data=tmp_path))
    assert "PREFECT_HOME" not in environment


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"TOCSIN_SLACK_WEBHOOK": "hooks.slack.com/services/T0/B0/hidden"}, "TOCSIN_SLACK_WEBHOOK"),
        ({"TOCSIN_WEBHOOK_URL": "ftp://hidden.example"}, "TOCSIN_WEBHOOK_URL"),
        ({"TOCSIN_WEBHOOK_URL": "https://hidden.example"}, "needs TOCSIN_WEBHOOK_SECRET"),
    ],
)
def test_a_wrong_webhook_is_named_and_not_shown(monkeypatch, values, named):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named) as wrong:
        load_settings()
    assert "hidden" not in str(wrong.value)


def test_webhooks_never_show_in_what_is_printed(monkeypatch):
    monkeypatch.setenv("TOCSIN_SLACK_WEBHOOK", "https://hooks.slack.com/services/T0/B0/hidden")
    assert "hidden" not in repr(load_settings())
    monkeypatch.setenv("TOCSIN_SLACK_WEBHOOK", " ")
    assert load_settings().slack_webhook is None
