-- Counts of articles that were pruned are kept, so that trends say the same of the days before.

CREATE TABLE pruned_feed_days (
    day      DATE NOT NULL,
    topic    VARCHAR NOT NULL,
    feed_url VARCHAR NOT NULL,
    outlet   VARCHAR NOT NULL,
    articles BIGINT NOT NULL,
    matches  BIGINT NOT NULL
);
COMMENT ON TABLE pruned_feed_days IS 'Counts of scored articles that were pruned, per day, topic, feed and outlet; part of topic_feed_days.';
COMMENT ON COLUMN pruned_feed_days.day IS 'Day (UTC) on which we first saw the articles.';
COMMENT ON COLUMN pruned_feed_days.topic IS 'Name of the topic.';
COMMENT ON COLUMN pruned_feed_days.feed_url IS 'Feed that brought the articles first.';
COMMENT ON COLUMN pruned_feed_days.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN pruned_feed_days.articles IS 'Articles that were scored for the topic.';
COMMENT ON COLUMN pruned_feed_days.matches IS 'Those of them that reached the threshold.';

CREATE TABLE pruned_hours (
    hour     TIMESTAMPTZ NOT NULL,
    topic    VARCHAR NOT NULL,
    articles BIGINT NOT NULL,
    matches  BIGINT NOT NULL
);
COMMENT ON TABLE pruned_hours IS 'Counts of scored articles that were pruned, per hour and topic; part of topic_hours.';
COMMENT ON COLUMN pruned_hours.hour IS 'Begin of the hour (UTC) in which we first saw the articles.';
COMMENT ON COLUMN pruned_hours.topic IS 'Name of the topic.';
COMMENT ON COLUMN pruned_hours.articles IS 'Articles that were scored for the topic.';
COMMENT ON COLUMN pruned_hours.matches IS 'Those of them that reached the threshold.';

-- The counts of scores that are still there: published as rows of their own.
CREATE VIEW scored_feed_days AS
SELECT
    scores.day, scores.topic, articles.feed_url, articles.outlet,
    count(*) AS articles,
    count(*) FILTER (WHERE scores.score >= versions.threshold) AS matches
FROM scores
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
) AS versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
JOIN articles ON articles.article_id = scores.article_id
WHERE scores.is_newest
GROUP BY scores.day, scores.topic, articles.feed_url, articles.outlet;
COMMENT ON VIEW scored_feed_days IS
    'Counts per day, topic, feed and outlet of the scores that are stored, behind topic_feed_days. Published counts may come in parts: sum them.';
COMMENT ON COLUMN scored_feed_days.day IS 'Day (UTC) on which we first saw the articles.';
COMMENT ON COLUMN scored_feed_days.topic IS 'Name of the topic.';
COMMENT ON COLUMN scored_feed_days.feed_url IS 'Feed that brought the articles first.';
COMMENT ON COLUMN scored_feed_days.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN scored_feed_days.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN scored_feed_days.matches IS 'Articles at or above the threshold.';

CREATE VIEW scored_hours AS
SELECT
    date_trunc('hour', articles.first_seen_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour, scores.topic,
    count(*) AS articles,
    count(*) FILTER (WHERE scores.score >= versions.threshold) AS matches
FROM scores
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
) AS versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
JOIN articles ON articles.article_id = scores.article_id
WHERE scores.is_newest
GROUP BY 1, scores.topic;
COMMENT ON VIEW scored_hours IS
    'Counts per hour and topic of the scores that are stored, behind topic_hours. Published counts may come in parts: sum them.';
COMMENT ON COLUMN scored_hours.hour IS 'Begin of the hour (UTC) in which we first saw the articles.';
COMMENT ON COLUMN scored_hours.topic IS 'Name of the topic.';
COMMENT ON COLUMN scored_hours.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN scored_hours.matches IS 'Articles at or above the threshold.';

CREATE OR REPLACE VIEW topic_feed_days AS
SELECT day, topic, feed_url, outlet, articles, matches FROM scored_feed_days
UNION ALL SELECT day, topic, feed_url, outlet, articles, matches FROM pruned_feed_days;
COMMENT ON VIEW topic_feed_days IS
    'Counts per day, topic, feed and outlet, also of what was pruned. Counts may come in parts: sum them.';
COMMENT ON COLUMN topic_feed_days.day IS 'Day (UTC) on which we first saw the articles.';
COMMENT ON COLUMN topic_feed_days.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_feed_days.feed_url IS 'Feed that brought the articles first.';
COMMENT ON COLUMN topic_feed_days.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN topic_feed_days.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_feed_days.matches IS 'Articles at or above the threshold.';

CREATE OR REPLACE VIEW topic_hours AS
SELECT hour, topic, articles, matches FROM scored_hours
UNION ALL SELECT hour, topic, articles, matches FROM pruned_hours;
COMMENT ON VIEW topic_hours IS
    'Counts per hour and topic, behind topic_hourly, also of what was pruned. Counts may come in parts: sum them.';
COMMENT ON COLUMN topic_hours.hour IS 'Begin of the hour (UTC) in which we first saw the articles.';
COMMENT ON COLUMN topic_hours.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_hours.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_hours.matches IS 'Articles at or above the threshold.';

-- Columns of a view that had no comments.
COMMENT ON COLUMN decision_trail.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN decision_trail.topic IS 'Topic that the article was close to.';
COMMENT ON COLUMN decision_trail.channel IS 'Channel that hears of the topic.';
COMMENT ON COLUMN decision_trail.rule IS 'Rule that let it ring or stopped it.';
COMMENT ON COLUMN decision_trail.rings IS 'True if it rang, at once or after quiet hours.';
COMMENT ON COLUMN decision_trail.explanation IS 'The rule in a sentence, with its numbers.';
COMMENT ON COLUMN decision_trail.title IS 'Headline of the article.';
COMMENT ON COLUMN decision_trail.outlet IS 'Its publisher.';
COMMENT ON COLUMN decision_trail.url IS 'Its address.';
COMMENT ON COLUMN decision_trail.score IS 'Score of the article for the topic.';
COMMENT ON COLUMN decision_trail.threshold IS 'Threshold of the topic.';
COMMENT ON COLUMN decision_trail.fitted IS 'Threshold that the daily budget raised it to; empty without a budget.';
COMMENT ON COLUMN decision_trail.outlets IS 'Outlets that had the story, muted ones aside.';
COMMENT ON COLUMN decision_trail.hold_until IS 'End of the quiet hours that it waits for (UTC).';
COMMENT ON COLUMN decision_trail.alert_state IS 'State of the alert now.';
COMMENT ON COLUMN decision_trail.delivered_at IS 'When the alert was delivered (UTC).';
COMMENT ON COLUMN decision_trail.is_final IS 'True for the last decision on the article and topic; what waits for outlets may have earlier ones.';
COMMENT ON COLUMN decision_trail.article_id IS 'Article that was decided on.';
COMMENT ON COLUMN decision_trail.story_id IS 'Its story.';
COMMENT ON COLUMN decision_trail.alert_id IS 'Alert that tells it; empty if it did not ring.';
COMMENT ON COLUMN decision_trail.topic_version IS 'Version of the topic that decided.';
COMMENT ON COLUMN decision_trail.run_id IS 'Run that decided.';
