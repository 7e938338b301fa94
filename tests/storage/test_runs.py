"""Runs: each has one row, and a killed one is found by the next."""

from datetime import timedelta

from storage.runs import finish_run, start_run

LATER = timedelta(hours=1)


def states(con) -> dict[str, str]:
    return dict(con.execute("SELECT run_id, state FROM runs").fetchall())


def test_a_run_is_recorded_from_start_to_report(con, now):
    assert start_run(con, "run", "monitor", now=now) == 0
    assert con.execute("SELECT state, finished_at, report FROM runs").fetchall() == [("running", None, None)]
    finish_run(con, "run", "completed", report={"feeds": 3, "seconds": {"poll": 1.5}}, now=now + LATER)
    rows = con.execute(
        "SELECT flow, state, started_at, finished_at, report ->> '$.seconds.poll' FROM runs"
    ).fetchall()
    assert rows == [("monitor", "completed", now, now + LATER, "1.5")]


def test_the_next_run_marks_killed_ones_abandoned_and_no_others(con, now):
    for name, state in [("good", "completed"), ("bad", "failed")]:
        start_run(con, name, "monitor", now=now)
        finish_run(con, name, state, report={}, now=now)
    start_run(con, "killed", "monitor", now=now)
    assert start_run(con, "next", "monitor", now=now + LATER) == 1
    assert states(con) == {"good": "completed", "bad": "failed", "killed": "abandoned", "next": "running"}
    ended = con.execute("SELECT finished_at FROM runs WHERE run_id = 'killed'").fetchall()
    assert ended == [(now + LATER,)]


def test_a_retried_run_keeps_its_row_and_first_start(con, now):
    start_run(con, "run", "monitor", now=now)
    finish_run(con, "run", "failed", report={"error": "x"}, now=now)
    assert start_run(con, "run", "monitor", now=now + LATER) == 0
    rows = con.execute("SELECT state, started_at, finished_at, report FROM runs").fetchall()
    assert rows == [("running", now, None, None)]


def test_a_run_thought_abandoned_may_still_finish(con, now):
    start_run(con, "slow", "rescore", now=now)
    start_run(con, "next", "monitor", now=now)
    finish_run(con, "slow", "completed", report={}, now=now + LATER)
    assert states(con) == {"slow": "completed", "next": "running"}
