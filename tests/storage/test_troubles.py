"""An episode is new once, lasts until its subject works, and may come again."""

from datetime import timedelta

import pytest

from storage.troubles import record_troubles
from tocsin.types import ChannelTrouble

HOUR = timedelta(hours=1)
A, B = (ChannelTrouble(f"channel:{name}", name, "is_archived", "It is archived") for name in ("a", "b"))


@pytest.fixture
def record(con, now):
    hours = iter(range(100))
    return lambda troubles, worked=(): record_troubles(con, "run", troubles, worked, now + next(hours) * HOUR)


def test_an_episode_is_new_once_and_again_after_it_ended(record, con, now):
    assert record([A, B]) == [A, B]
    assert record([A]) == []
    assert record([], {A.subject}) == []
    assert record([A, B]) == [A]
    rows = con.execute("SELECT subject, since, ended_at FROM channel_troubles ORDER BY since, subject")
    assert rows.fetchall() == [
        (A.subject, now, now + 2 * HOUR),
        (B.subject, now, None),
        (A.subject, now + 3 * HOUR, None),
    ]


def test_a_subject_that_worked_and_then_failed_is_a_new_episode(record):
    record([A])
    assert record([A], {A.subject}) == [A]
