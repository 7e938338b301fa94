-- What people query. Every view is a promise: columns are added, never renamed or removed.

CREATE VIEW current_topics AS
SELECT sets.position, sets.topic, sets.version, definitions.threshold, definitions.definition, sets.recorded_at
FROM topic_sets AS sets
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold, any_value(definition) AS definition
    FROM topics GROUP BY topic, version
) AS definitions ON definitions.topic = sets.topic AND definitions.version = sets.version
WHERE sets.edition = (SELECT max(edition) FROM topic_sets);
COMMENT ON VIEW current_topics IS 'The topics in use: the set that was recorded last.';

CREATE VIEW matches AS
SELECT
    scores.article_id, scores.topic, scores.score, scores.topic_version, versions.threshold,
    scores.encoder_revision, scores.head, scores.scored_at,
    articles.title, articles.outlet, articles.url, articles.published_at, articles.first_seen_at, scores.day
FROM scores
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
) AS versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
JOIN articles ON articles.article_id = scores.article_id
WHERE scores.is_newest AND scores.score >= versions.threshold;
COMMENT ON VIEW matches IS
    'Article and topic pairs whose newest score reaches the threshold of the topic version it was scored for.';

CREATE VIEW feed_health AS
SELECT
    url, title, outlet, folder,
    CASE
        WHEN polled_at IS NULL THEN 'new'
        WHEN failures = 0 THEN 'ok'
        WHEN succeeded_at IS NULL THEN 'never worked'
        ELSE 'failing'
    END AS health,
    failures, last_outcome, last_severity, last_status, last_reason, last_message,
    polled_at, succeeded_at, next_poll_at, poll_interval, baseline_at
FROM feeds;
COMMENT ON VIEW feed_health IS 'One row per feed: whether it works, what its last fetch said, and when it is due.';

CREATE VIEW outbox AS
SELECT
    alert_id, channel, topic, topics, score, title, url, outlet, article_id,
    decided_at, state, attempts, retry_at, error
FROM alerts
WHERE state <> 'delivered';
COMMENT ON VIEW outbox IS 'Alerts that are decided but not delivered.';

CREATE VIEW topic_daily AS
SELECT
    scores.day, scores.topic,
    count(*) FILTER (WHERE scores.score >= versions.threshold) AS matches,
    count(*) AS articles,
    count(*) FILTER (WHERE scores.score >= versions.threshold) / count(*) AS share
FROM scores
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
) AS versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
WHERE scores.is_newest
GROUP BY scores.day, scores.topic;
COMMENT ON VIEW topic_daily IS
    'Per day (UTC, when first seen) and topic: matches, articles scored for it, and the share of matches.';
