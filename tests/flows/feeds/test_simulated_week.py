"""The benchmark of the schedule, made small: it must win on requests and on delay at once."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "simulate_week.py"


@pytest.fixture(scope="module")
def week():
    spec = importlib.util.spec_from_file_location("simulate_week", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_adaptive_schedule_needs_fewer_requests_and_fetches_sooner_than_every_ten_minutes(week):
    fixed, adaptive = week.simulate(range(120), seed=3, days=2)
    assert adaptive.requests < 0.95 * fixed.requests
    assert adaptive.in_vain < fixed.in_vain
    assert adaptive.missed <= fixed.missed
    assert len(adaptive.delays) >= len(fixed.delays) > 3_000
    for share in (50, 95):
        assert np.percentile(adaptive.delays, share) < np.percentile(fixed.delays, share)


def test_every_entry_of_the_simulation_is_fetched_late_or_missed(week):
    for number in range(25):
        feed = week.make_feed(number, seed=5, days=2)
        for poll in (week.poll_fixed, week.poll_adaptive):
            tally = poll(feed, seed=5, days=2)
            assert len(tally.delays) + tally.missed == len(feed.times) - feed.past
            assert (tally.delays >= 0).all()
