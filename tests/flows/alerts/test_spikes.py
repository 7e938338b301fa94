"""A topic spikes when it leaves its own baseline, in at least two outlets, and not again while it cools."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.spikes import RULES, Volume, find_spikes, judge_window
from flows.alerts.terms import find_terms

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWO = {("chips", 6): [99, 99], ("chips", 24): [99, 99]}


def window(newest, usual=lambda day: 2, *, hours=6, expected=2.0, days=56):
    """Volumes of a topic: its newest matches, and by days ago what was usual."""
    past = [Volume("chips", hours, day, usual(day), expected) for day in range(1, days + 1)]
    return [Volume("chips", hours, 0, newest, expected), *past]


def find(volumes, *, outlets=TWO, rule="balanced", told=None):
    return find_spikes(volumes, outlets, RULES[rule], told=told or {}, now=NOW)


def test_a_burst_is_found_with_its_numbers():
    [found] = find(window(14))
    assert (found.topic, found.hours, found.matches, found.usual) == ("chips", 6, 14, 2.0)
    assert found.z_score == pytest.approx((14 - 2) / 3**0.5)


@pytest.mark.parametrize(
    ("newest", "expected", "usual", "least"),
    [(4, 0.02, 0, "more"), (5, 0.5, 0, "balanced"), (7, 0.5, 0, "fewer")],
)
def test_tiny_counts_do_not_fire_however_far_from_nothing(newest, expected, usual, least):
    assert not find(window(newest, lambda day: usual, expected=expected), rule=least)


def test_sensitivities_are_ordered():
    found = {
        name: [newest for newest in range(60) if find(window(newest), rule=name)]
        for name in ("fewer", "balanced", "more")
    }
    assert found["fewer"][0] > found["balanced"][0] > found["more"][0]
    assert all(listed == list(range(listed[0], 60)) for listed in found.values())


def test_one_outlet_alone_is_no_spike():
    assert not find(window(30), outlets={("chips", 6): [30]})
    assert not find(window(30), outlets={})


def test_one_outlet_s_series_is_no_spike_although_others_had_an_article_too():
    assert not find(window(30), outlets={("chips", 6): [28, 1, 1]})
    assert find(window(30), outlets={("chips", 6): [20, 5, 5]})


def test_a_topic_is_silent_until_it_has_cooled():
    rule = RULES["balanced"]
    assert not find(window(30), told={"chips": NOW - rule.cooldown + timedelta(minutes=1)})
    assert find(window(30), told={"chips": NOW - rule.cooldown})
    assert find(window(30), told={"cables": NOW})


def test_what_is_usual_on_this_weekday_is_no_spike_although_it_is_on_others():
    def sundays(day):
        return 20 if day % 7 == 0 else 2

    assert not find(window(20, sundays))
    assert find(window(20, lambda day: 2))


def test_last_months_sensation_does_not_hide_todays():
    assert find(window(14, lambda day: 40 if day in (7, 8, 9, 14) else 2))


def test_what_varies_much_needs_more():
    def restless(day):
        return (0, 6, 1, 9, 2, 8, 0, 4)[day // 7 % 8]

    assert find(window(14))
    assert not find(window(14, restless))


def test_what_came_from_more_articles_is_no_spike():
    volumes = [Volume("chips", 6, 0, 14, 14.0), *window(0)[1:]]
    assert not find(volumes)


@pytest.mark.parametrize("days", [0, 6, 27])
def test_a_short_history_says_nothing(days):
    assert not find(window(50, days=days))
    assert find(window(50, days=28))


def test_a_topic_is_told_once_for_the_shortest_window_that_shows_it():
    [found] = find([*window(14), *window(60, hours=24)])
    assert found.hours == 6
    [found] = find([*window(3), *window(60, hours=24)])
    assert found.hours == 24


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 100), st.floats(0, 50)), max_size=70),
    st.floats(0, 50),
)
def test_any_counts_are_judged_without_an_error(newest, past, expected):
    days = {day + 1: Volume("t", 6, day + 1, *each) for day, each in enumerate(past)}
    found = judge_window(days | {0: Volume("t", 6, 0, newest, expected)})
    assert found is None or found.usual >= 0


def test_terms_that_stand_out_are_those_of_now_not_those_of_always():
    earlier = [(f"Outlet {n % 5}", f"New chip export rules for makers number {n}") for n in range(60)]
    recent = [(f"Outlet {n}", f"Chip export rules: raid on Nordhaven harbour, part {n}") for n in range(6)]
    terms = find_terms(recent, earlier)
    assert terms[0] in {"nordhaven harbour", "raid", "nordhaven", "harbour"}
    assert not {"chip", "export", "rules"} & {word for term in terms for word in term.split()}


def test_a_term_of_one_outlet_alone_does_not_stand_out():
    recent = [("Alpha", "Quiz of the week")] * 9 + [("Beta", "Chip rules"), ("Gamma", "Chip rules")]
    assert not {"quiz", "week"} & {word for term in find_terms(recent, []) for word in term.split()}


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.text())),
    st.lists(st.tuples(st.sampled_from("ab"), st.text())),
)
def test_any_headlines_give_terms_of_themselves(recent, earlier):
    joined = " ".join(title.casefold() for _, title in recent)
    assert all(word in joined for term in find_terms(recent, earlier) for word in term.split())
