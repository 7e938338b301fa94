"""Parsing in worker processes: one bad body costs only itself.

Where a worker has to die or hang, `eval` stands in for the parser, as workers can import it.
"""

import asyncio

import pytest

from flows.feeds.pool import ParseJob, ParserPool
from tocsin.errors import FeedError


def job(body, now):
    return ParseJob(body, None, "http://news.example/feed", now)


def ill_formed(body):
    """Make a feed that the fast path leaves to feedparser, which still reads it."""
    return body.replace(b"<title>News</title>", b"<title>News & more</title>")


def leave(_job):
    """Stand in for the fast path, and take nothing."""


def parse_all(options, jobs, **changes):
    async def run():
        pool = ParserPool(options, **changes)
        try:
            return await asyncio.gather(*[pool.parse(each) for each in jobs]), pool
        finally:
            pool.close()

    return asyncio.run(run())[0]


class Body(str):
    """A parser's input for `eval`, with the length and URL that a job has."""

    __slots__ = ()
    body = b"xx"
    url = "http://news.example/feed"


def test_bodies_are_parsed_in_processes_and_failures_are_values(make_options, rss, now):
    bodies = [
        ill_formed(rss(("One", "/1"))),
        b"nothing",
        ill_formed(rss(("Two", "/2"), ("Three", "/3"))),
    ]
    results = parse_all(make_options(inline_parse_bytes=0), [job(body, now) for body in bodies])
    assert [entry.title for entry in results[0].entries] == ["One"]
    assert isinstance(results[1], FeedError)
    assert results[1].reason == "not_a_feed"
    assert len(results[2].entries) == 2


def test_small_bodies_start_no_process(make_options, rss, now):
    async def run():
        pool = ParserPool(make_options(inline_parse_bytes=10_000))
        bodies = [ill_formed(rss((str(n), "/"))) for n in range(5)]
        results = await asyncio.gather(*[pool.parse(job(body, now)) for body in bodies])
        return results, pool.has_workers

    results, has_workers = asyncio.run(run())
    assert [result.entries[0].title for result in results] == ["0", "1", "2", "3", "4"]
    assert not has_workers


@pytest.mark.parametrize(
    "changes", [{"inline_parse_bytes": 100}, {"inline_body_bytes": 100}], ids=["in sum", "a single body"]
)
def test_what_exceeds_the_inline_bounds_goes_to_a_process(make_options, rss, now, changes):
    async def run():
        pool = ParserPool(make_options(**changes))
        try:
            return await pool.parse(job(ill_formed(rss(("x" * 200, "/"))), now)), pool.has_workers
        finally:
            pool.close()

    result, has_workers = asyncio.run(run())
    assert len(result.entries) == 1
    assert has_workers


def test_a_body_that_kills_its_worker_costs_only_itself(make_options):
    options = make_options(inline_parse_bytes=0)
    good = [Body(f"{number} + 1") for number in range(6)]
    results = parse_all(
        options, [*good[:3], Body("__import__('os')._exit(1)"), *good[3:]], parse=eval, quickly=leave
    )
    assert isinstance(results[3], FeedError)
    assert results.pop(3).reason == "parser_crashed"
    assert results == [1, 2, 3, 4, 5, 6]


def test_a_body_that_takes_too_long_is_given_up(make_options):
    endless = Body("sum(1 for _ in __import__('itertools').count())")
    results = parse_all(
        make_options(inline_parse_bytes=0, parse_seconds=0.2), [endless, Body("1")], parse=eval, quickly=leave
    )
    assert results[0].reason == "parse_timeout"
    assert results[1] == 1


def test_the_time_limit_is_not_mistaken_for_a_parse_error(make_options):
    swallowing = Body("exec('try:\\n for _ in iter(int, 1): int()\\nexcept Exception: pass')")
    (result,) = parse_all(
        make_options(inline_parse_bytes=0, parse_seconds=0.2), [swallowing], parse=eval, quickly=leave
    )
    assert result.reason == "parse_timeout"


def test_well_formed_bodies_start_no_process_however_many_come(make_options, rss, now):
    async def run():
        pool = ParserPool(make_options(inline_parse_bytes=0))
        results = await asyncio.gather(*[pool.parse(job(rss((str(n), "/")), now)) for n in range(50)])
        return results, pool.has_workers

    results, has_workers = asyncio.run(run())
    assert [result.entries[0].title for result in results] == [str(n) for n in range(50)]
    assert not has_workers


def test_a_body_over_the_bound_is_never_parsed_on_the_event_loop(make_options, rss, now):
    def forbidden(_job):
        raise AssertionError

    options = make_options(inline_parse_bytes=0, inline_body_bytes=100)
    (result,) = parse_all(options, [job(rss(("x" * 200, "/")), now)], quickly=forbidden)
    assert len(result.entries) == 1


def test_the_event_loop_has_turns_between_bodies_that_came_together(make_options, now):
    order = []

    async def other():
        for _ in range(3):
            order.append("other")
            await asyncio.sleep(0)

    def quickly(parse_job):
        order.append("parsed")
        return parse_job

    async def run():
        pool = ParserPool(make_options(), quickly=quickly)

        async def in_turn():
            for _ in range(3):
                await pool.parse(job(b"", now))

        await asyncio.gather(in_turn(), other())

    asyncio.run(run())
    assert order == ["other", "parsed"] * 3
