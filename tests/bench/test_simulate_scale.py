"""The arithmetic of what more feeds take."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from simulate_scale import Assumptions, Costs, Prices, simulate, slot_seconds, to_table

PLAIN = Costs(
    poll_same=0.001, poll_changed=0.011, embed=0.01, task=0.0, write_shard=0.0, write_poll=0.002,
    write_article=0.01, live_bytes=900, published_bytes=100, fetch_bytes=10,
)  # fmt: skip
EVEN = Assumptions(
    polls_a_day=86.4, articles_a_day=8.64, changed_share=0.1, wait=1.0, concurrency=10, shard=100, peak=1.0,
    busy=0.5, keep_fetches=100,
)  # fmt: skip


def test_a_thousand_feeds_by_hand():
    need = simulate(1_000, PLAIN, EVEN, Prices(core_hour=0.1, gb_month=0.5))
    assert need.polls_a_second == pytest.approx(1.0)
    assert need.articles_a_day == pytest.approx(8_640)
    # 1 poll of 0.1 s a second is 0.1 slots, half used: 1 worker. A shard brings 10 articles: the run embeds.
    assert need.workers == 1
    assert need.writer == pytest.approx(0.002 + 0.1 * 0.01 + 0.1 * 0.01)
    # 8,640 articles a day of 1,000 bytes for a year, and 100 days of 86,400 fetches of 10 bytes.
    assert need.storage_gb == pytest.approx(8_640 * 365 * 1_000 / 1e9 + 86_400 * 100 * 10 / 1e9)
    assert need.money_a_month == pytest.approx(2 * 730 * 0.1 + need.storage_gb * 0.5)


def test_ten_seconds_of_slots_a_second_take_twenty_workers_half_used():
    assert simulate(100_000, replace(PLAIN, embed=0.0), EVEN).workers == 20


def test_so_many_articles_a_shard_that_workers_embed_are_not_the_writers_work():
    few, many = replace(EVEN, shard_texts=10), replace(EVEN, shard_texts=9)
    run, workers = (simulate(10_000_000, PLAIN, each) for each in (few, many))
    assert workers.writer == pytest.approx(run.writer - 1_000 * 0.01)
    assert workers.workers == run.workers + 20


def test_a_slot_waits_or_works_whichever_is_more():
    assert slot_seconds(PLAIN, EVEN) == pytest.approx(0.1)
    assert slot_seconds(PLAIN, replace(EVEN, wait=0.0)) == pytest.approx(0.9 * 0.001 + 0.1 * 0.011)


def test_a_task_costs_more_a_feed_in_a_small_shard():
    dear = replace(PLAIN, task=0.5)
    small = slot_seconds(dear, replace(EVEN, shard=10)) - slot_seconds(dear, EVEN)
    assert small == pytest.approx(0.05 - 0.005)


def test_one_writer_that_has_more_to_do_than_there_is_time_is_called_too_much():
    assert "too much" in to_table([simulate(1_000_000, PLAIN, EVEN)])
    assert "too much" not in to_table([simulate(1_000, PLAIN, EVEN)])


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_feeds_never_take_less(one, other):
    few, many = (simulate(number, Costs()) for number in sorted((one, other)))
    assert few.workers <= many.workers
    assert few.storage_gb <= many.storage_gb
    assert few.money_a_month <= many.money_a_month
    assert few.writer <= many.writer


def test_the_command_takes_a_persons_own_prices():
    script = Path(__file__).with_name("simulate_scale.py")
    command = [sys.executable, script, "--json", "--feeds", "1000", "--core-hour", "0", "--gb-month", "1"]
    (need,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert need["money_a_month"] == pytest.approx(need["storage_gb"])
