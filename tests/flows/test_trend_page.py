"""The page of trends that flows leave in Prefect's UI."""

from datetime import date, timedelta

from flows.trend_page import DAYS, trend_page
from storage.trends import TrendDay

TODAY = date(2026, 11, 22)


def day(topic, back, share):
    at = TODAY - timedelta(days=back)
    return TrendDay(at, topic, 1, 10, 0.1, None, None, None, share, None, 1.0, None)


def test_each_topic_has_its_line_and_the_one_with_most_news_comes_first():
    rising = [day("chips", back, (DAYS - back) / 1000) for back in range(DAYS - 1, -1, -1)]
    steady = [day("ai_safety", back, 0.5) for back in range(DAYS - 1, -1, -1)]
    rows = trend_page([*rising, *steady], today=TODAY).splitlines()
    assert rows[2] == f"| AI safety | `{'█' * DAYS}` | 50.0% | 50.0% |"
    assert rows[3].startswith("| Chips | `▁")
    assert rows[3].endswith("█` | 2.8% | 2.1% |")


def test_a_day_that_cannot_be_compared_is_a_gap():
    known = [day("chips", 2, 0.2), day("chips", 1, None), day("chips", 0, 0.1)]
    row = trend_page(known, today=TODAY).splitlines()[2]
    assert row == f"| Chips | `{' ' * (DAYS - 3)}█ ▅` | 10.0% | - |"


def test_without_trends_it_says_so():
    assert "No trends yet" in trend_page([], today=TODAY)
    assert "| Chips |" in trend_page([day("chips", 0, None)], today=TODAY)
