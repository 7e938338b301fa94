"""Topics: versions are recorded when they change, and what a person removed stays removed."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.topic_history import load_definitions, load_editions
from storage.topics import newest_topics, record_topics
from tocsin.types import Topic

phrases = st.text(min_size=3, max_size=20).filter(lambda text: len(text.strip()) >= 3)
topics = st.builds(
    Topic,
    name=st.from_regex(r"[a-z][a-z0-9_]{1,10}", fullmatch=True),
    description=st.text(min_size=10, max_size=40).filter(lambda text: len(text.strip()) >= 10),
    examples=st.lists(phrases, max_size=3).map(tuple),
    counter_examples=st.lists(phrases, max_size=3).map(tuple),
    threshold=st.none() | st.floats(0, 1),
    sensitivity=st.sampled_from(["fewer", "balanced", "more"]),
    channel=st.none() | st.from_regex(r"#?[a-z0-9_.-]{1,10}", fullmatch=True),
)
topic_sets = st.lists(topics, min_size=1, max_size=4, unique_by=lambda topic: topic.name)


@settings(max_examples=40, deadline=None)
@given(topic_sets, topic_sets)
def test_the_topics_recorded_last_come_back_whole_and_in_order(undone, now, first, second):
    with undone() as con:
        for chosen in (first, second, first):
            versions = record_topics(con, chosen, run_id="run", now=now)
            assert newest_topics(con) == tuple(chosen)
            assert versions == {topic.name: topic.version for topic in chosen}


def recorded(con) -> list[tuple[str, str]]:
    return con.execute("SELECT topic, version FROM topics").fetchall()


def test_topics_that_did_not_change_are_recorded_once(con, make_topic, now):
    chosen = [make_topic("aa"), make_topic("bb")]
    for number in range(3):
        record_topics(con, chosen, run_id=f"run-{number}", now=now + timedelta(days=number))
    assert len(recorded(con)) == 2
    assert con.execute("SELECT DISTINCT edition, run_id FROM topic_sets").fetchall() == [(1, "run-0")]


def test_a_changed_topic_gets_a_row_and_its_neighbour_none(con, make_topic, now):
    old, new = make_topic("aa", threshold=0.5), make_topic("aa", threshold=0.6)
    neighbour = make_topic("bb")
    for topic in (old, new, old):
        record_topics(con, [topic, neighbour], run_id="run", now=now)
    assert recorded(con) == [
        ("aa", old.version),
        ("bb", neighbour.version),
        ("aa", new.version),
        ("aa", old.version),
    ]
    assert newest_topics(con) == (old, neighbour)


def test_a_removed_topic_is_not_resurrected_and_its_history_stays(con, make_topic, now):
    record_topics(con, [make_topic("aa"), make_topic("bb")], run_id="run", now=now)
    record_topics(con, [make_topic("bb")], run_id="run", now=now)
    assert [topic.name for topic in newest_topics(con)] == ["bb"]
    assert len(recorded(con)) == 2
    record_topics(con, [make_topic("bb"), make_topic("aa")], run_id="run", now=now)
    assert [topic.name for topic in newest_topics(con)] == ["bb", "aa"]
    assert len(recorded(con)) == 2


def test_a_clock_set_back_does_not_bring_old_topics_back(con, make_topic, now):
    record_topics(con, [make_topic("aa")], run_id="run", now=now)
    record_topics(con, [make_topic("bb")], run_id="run", now=now - timedelta(days=9))
    assert [topic.name for topic in newest_topics(con)] == ["bb"]


def test_no_topics_given_leaves_the_recorded_ones_in_use(con, make_topic, now):
    assert newest_topics(con) == ()
    record_topics(con, [make_topic("aa")], run_id="run", now=now)
    assert record_topics(con, [], run_id="run", now=now) == {}
    assert [topic.name for topic in newest_topics(con)] == ["aa"]


def test_the_threshold_of_a_topic_is_the_one_that_counts(con, make_topic, now):
    record_topics(
        con, [make_topic("aa", sensitivity="fewer"), make_topic("bb", threshold=0.33)], run_id="r", now=now
    )
    assert con.execute("SELECT topic, threshold FROM current_topics ORDER BY position").fetchall() == [
        ("aa", 0.8),
        ("bb", 0.33),
    ]


def test_who_brought_a_version_into_use_is_kept_and_a_repeat_by_another_changes_nothing(con, make_topic, now):
    for person in ("ada", "bob"):
        record_topics(con, [make_topic("aa")], run_id="run", now=now, person=person)
    record_topics(con, [make_topic("aa"), make_topic("bb")], run_id="run", now=now, person="bob")
    assert con.execute("SELECT topic, recorded_by FROM topics").fetchall() == [("aa", "ada"), ("bb", "bob")]
    assert [(each.recorded_by, list(each.versions)) for each in load_editions(con)] == [
        ("ada", ["aa"]),
        ("bob", ["aa", "bb"]),
    ]
    assert set(load_definitions(con).values()) == {make_topic("aa"), make_topic("bb")}
