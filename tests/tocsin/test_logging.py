import logging
import re

import pytest

from tocsin.errors import SettingsError
from tocsin.logging import configure_logging, logging_run, redact


@pytest.fixture(autouse=True)
def _restored_loggers():
    from tocsin.logging import _OURS, _TALKATIVE

    names = (*_OURS, *_TALKATIVE)
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    yield
    for name, (level, propagate) in before.items():
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


def test_every_line_holds_the_id_of_its_run(tmp_path):
    configure_logging(tmp_path)
    with logging_run("run-7"):
        logging.getLogger("flows.x").info("feed.fetched feed=%s", "a")
    logging.getLogger("storage.y").info("history.opened")
    lines = (tmp_path / "tocsin.log").read_text().splitlines()
    assert re.search(r"INFO run=run-7 feed\.fetched feed=a$", lines[0])
    assert "run=- history.opened" in lines[1]


def test_a_token_or_a_password_in_a_url_never_reaches_the_log(tmp_path):
    configure_logging(tmp_path)
    logging.getLogger("flows.x").warning(
        "token=%s url=%s", "xoxb-12-ab", "https://ann:hunter2@example.org/feed"
    )
    written = (tmp_path / "tocsin.log").read_text()
    assert "token=*** url=https://***@example.org/feed" in written


def test_redaction_leaves_ordinary_text_alone():
    text = "feed=https://example.org/a@b?c=1 title=Box office: 3:2 at half-time"
    assert redact(text) == text


def test_libraries_that_print_urls_and_bodies_are_kept_at_warnings(tmp_path):
    configure_logging(tmp_path, verbose=True)
    assert logging.getLogger("httpx").level == logging.WARNING
    assert logging.getLogger("slack_sdk").level == logging.WARNING


def test_configuring_twice_writes_each_line_once(tmp_path):
    configure_logging(tmp_path)
    configure_logging(tmp_path)
    logging.getLogger("models.z").warning("once")
    assert (tmp_path / "tocsin.log").read_text().count("once") == 1


def test_a_data_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/data.*TOCSIN_DATA"):
        configure_logging(tmp_path / "file" / "data")


def test_an_incoming_webhook_is_never_logged():
    from tocsin.logging import redact

    assert redact("https://hooks.slack.com/services/T0A/B0B/abcDEF12 x") == (
        "https://hooks.slack.com/services/*** x"
    )
