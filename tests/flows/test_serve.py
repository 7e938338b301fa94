"""Runs one after the other: when the next one starts, and what a failed one means for those to come."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.schedule import LATEST
from flows.serve import FIRST_BACKOFF, LONGEST_BACKOFF, SHORTEST_PAUSE, backoff, next_run_at, serve_runs
from tocsin.errors import SettingsError, StorageBusy

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("due", "pause"),
    [
        ([], 10 * MINUTE),
        ([NOW + 3 * MINUTE, NOW + 2 * MINUTE], 2 * MINUTE),
        ([NOW + timedelta(hours=2)], 10 * MINUTE),
        ([NOW - MINUTE], SHORTEST_PAUSE),
        ([None, NOW + 3 * MINUTE], SHORTEST_PAUSE),
        ([NOW + timedelta(days=400)], SHORTEST_PAUSE),
    ],
    ids=["nothing known", "the first", "seldom", "overdue", "never polled", "a clock that was wrong"],
)
def test_the_next_run_is_when_the_first_thing_is_due(due, pause):
    assert next_run_at(due, now=NOW, at_least_every=10 * MINUTE) - NOW == pause


@given(
    due=st.lists(
        st.none() | st.timedeltas(-LATEST, timedelta(days=900)).map(lambda delta: NOW + delta), max_size=5
    ),
    longest=st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
)
def test_the_next_run_lies_within_its_bounds(due, longest):
    pause = next_run_at(due, now=NOW, at_least_every=longest) - NOW
    assert SHORTEST_PAUSE <= pause <= max(longest, SHORTEST_PAUSE)


def test_failed_runs_are_tried_again_ever_later_up_to_a_limit():
    pauses = [backoff(failures) for failures in range(1, 40)]
    assert pauses[0] == FIRST_BACKOFF
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_BACKOFF


class Waits:
    """Notes the pauses, moves the clock on, and says when to stop."""

    def __init__(self, most: int) -> None:
        self.pauses: list[timedelta] = []
        self.most = most
        self.now = NOW

    def __call__(self, pause: timedelta) -> bool:
        self.pauses.append(pause)
        self.now += pause
        return len(self.pauses) <= self.most

    def clock(self) -> datetime:
        return self.now


def _serve(run_once, waits, due=()):
    return serve_runs(run_once, lambda: due, wait=waits, clock=waits.clock, at_least_every=MINUTE)


def test_the_first_run_starts_at_once_and_the_others_when_something_is_due():
    waits, runs = Waits(3), []
    failed = _serve(lambda: runs.append(waits.now), waits, due=[NOW + timedelta(seconds=40)])
    assert failed == 0
    assert [moment - NOW for moment in runs] == [timedelta(0), timedelta(seconds=40), timedelta(seconds=41)]


def test_a_failed_run_does_not_end_the_service():
    waits, outcomes = Waits(4), [None, StorageBusy("held"), StorageBusy("held"), None]

    def run_once():
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    assert _serve(run_once, waits) == 2
    assert waits.pauses[2:4] == [FIRST_BACKOFF, 2 * FIRST_BACKOFF]
    assert waits.pauses[4] == MINUTE


def test_wrong_settings_are_told_at_the_start_and_survived_later():
    def wrong():
        raise SettingsError("no such file")

    with pytest.raises(SettingsError):
        _serve(wrong, Waits(3))
    outcomes = [None, SettingsError("edited while it ran"), None]

    def edited():
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    assert _serve(edited, Waits(3)) == 1
