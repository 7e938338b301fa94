-- What is published and asked: counts by feed, trends corrected for coverage, outlets, topics that move together.

CREATE TABLE publication_marks (
    mark       BIGINT NOT NULL,
    table_name VARCHAR NOT NULL,
    month      VARCHAR NOT NULL
);
COMMENT ON TABLE publication_marks IS
    'One row per change of rows that were stored before: which month of which table has to be published again.';
COMMENT ON COLUMN publication_marks.mark IS 'Number of the change, counting up.';
COMMENT ON COLUMN publication_marks.table_name IS 'Table whose rows were changed.';
COMMENT ON COLUMN publication_marks.month IS 'Month of the changed rows, as in 2026-11.';

-- These three are published as Parquet of their own, so that nobody has to count ten million scores to read a trend.

CREATE VIEW match_scores AS
SELECT
    scores.article_id, scores.topic, scores.score, scores.topic_version, versions.threshold,
    scores.encoder_revision, scores.head, scores.scored_at, scores.day
FROM scores
JOIN (
    SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
) AS versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
WHERE scores.is_newest AND scores.score >= versions.threshold;
COMMENT ON VIEW match_scores IS
    'Newest scores that reach the threshold of the topic version they were made for: matches without the article''s texts.';
COMMENT ON COLUMN match_scores.article_id IS 'Article that matched.';
COMMENT ON COLUMN match_scores.topic IS 'Name of the topic.';
COMMENT ON COLUMN match_scores.score IS 'Calibrated probability, 0 to 1.';
COMMENT ON COLUMN match_scores.topic_version IS 'Version of the topic that it was scored for.';
COMMENT ON COLUMN match_scores.threshold IS 'Lowest score that counts as a match.';
COMMENT ON COLUMN match_scores.encoder_revision IS 'Revision of the encoder.';
COMMENT ON COLUMN match_scores.head IS 'Which head scored it.';
COMMENT ON COLUMN match_scores.scored_at IS 'When it was scored (UTC).';
COMMENT ON COLUMN match_scores.day IS 'Day (UTC) on which we first saw the article.';

CREATE VIEW topic_feed_days AS
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
COMMENT ON VIEW topic_feed_days IS
    'Counts per day, topic, feed and outlet. Published counts may come in parts: sum them.';
COMMENT ON COLUMN topic_feed_days.day IS 'Day (UTC) on which we first saw the articles.';
COMMENT ON COLUMN topic_feed_days.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_feed_days.feed_url IS 'Feed that brought the articles first.';
COMMENT ON COLUMN topic_feed_days.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN topic_feed_days.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_feed_days.matches IS 'Articles at or above the threshold.';

CREATE VIEW topic_hours AS
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
COMMENT ON VIEW topic_hours IS
    'Counts per hour and topic, behind topic_hourly. Published counts may come in parts: sum them.';
COMMENT ON COLUMN topic_hours.hour IS 'Begin of the hour (UTC) in which we first saw the articles.';
COMMENT ON COLUMN topic_hours.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_hours.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_hours.matches IS 'Articles at or above the threshold.';

CREATE OR REPLACE VIEW matches AS
SELECT
    matched.article_id, matched.topic, matched.score, matched.topic_version, matched.threshold,
    matched.encoder_revision, matched.head, matched.scored_at,
    articles.title, articles.outlet, articles.url, articles.published_at, articles.first_seen_at, matched.day
FROM match_scores AS matched
JOIN articles ON articles.article_id = matched.article_id;
COMMENT ON VIEW matches IS
    'Article and topic pairs whose newest score reaches the threshold of the topic version it was scored for.';
COMMENT ON COLUMN matches.article_id IS 'Article that matched.';
COMMENT ON COLUMN matches.topic IS 'Name of the topic.';
COMMENT ON COLUMN matches.score IS 'Calibrated probability, 0 to 1.';
COMMENT ON COLUMN matches.topic_version IS 'Version of the topic that it was scored for.';
COMMENT ON COLUMN matches.threshold IS 'Lowest score that counts as a match.';
COMMENT ON COLUMN matches.encoder_revision IS 'Revision of the encoder.';
COMMENT ON COLUMN matches.head IS 'Which head scored it.';
COMMENT ON COLUMN matches.scored_at IS 'When it was scored (UTC).';
COMMENT ON COLUMN matches.title IS 'Headline as first seen.';
COMMENT ON COLUMN matches.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN matches.url IS 'Address of the article.';
COMMENT ON COLUMN matches.published_at IS 'Publication time as claimed (UTC).';
COMMENT ON COLUMN matches.first_seen_at IS 'When we first saw the article (UTC); never empty, so trends use it.';
COMMENT ON COLUMN matches.day IS 'Day (UTC) on which we first saw the article.';

CREATE VIEW topic_hourly AS
SELECT
    hour, topic,
    CAST(sum(matches) AS BIGINT) AS matches, CAST(sum(articles) AS BIGINT) AS articles,
    sum(matches) / sum(articles) AS share
FROM topic_hours
GROUP BY hour, topic;
COMMENT ON VIEW topic_hourly IS
    'Per hour (UTC, when first seen) and topic: matches, articles scored for it, and the share of matches.';
COMMENT ON COLUMN topic_hourly.hour IS 'Begin of the hour (UTC), by the articles'' first_seen_at.';
COMMENT ON COLUMN topic_hourly.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_hourly.matches IS 'Articles at or above the threshold.';
COMMENT ON COLUMN topic_hourly.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_hourly.share IS 'Matches divided by articles.';

CREATE OR REPLACE VIEW topic_daily AS
SELECT
    day, topic,
    CAST(sum(matches) AS BIGINT) AS matches, CAST(sum(articles) AS BIGINT) AS articles,
    sum(matches) / sum(articles) AS share
FROM topic_feed_days
GROUP BY day, topic;
COMMENT ON VIEW topic_daily IS
    'Per day (UTC, when first seen) and topic: matches, articles scored for it, and the share of matches.';
COMMENT ON COLUMN topic_daily.day IS 'Day (UTC), by the articles'' first_seen_at.';
COMMENT ON COLUMN topic_daily.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_daily.matches IS 'Articles at or above the threshold.';
COMMENT ON COLUMN topic_daily.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_daily.share IS 'Matches divided by articles.';

CREATE VIEW outlet_daily AS
SELECT
    day, outlet, topic,
    CAST(sum(matches) AS BIGINT) AS matches, CAST(sum(articles) AS BIGINT) AS articles,
    sum(matches) / sum(articles) AS share
FROM topic_feed_days
GROUP BY day, outlet, topic;
COMMENT ON VIEW outlet_daily IS
    'Per day (UTC, when first seen), outlet and topic: matches, articles scored for it, and the share of matches.';
COMMENT ON COLUMN outlet_daily.day IS 'Day (UTC), by the articles'' first_seen_at.';
COMMENT ON COLUMN outlet_daily.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN outlet_daily.topic IS 'Name of the topic.';
COMMENT ON COLUMN outlet_daily.matches IS 'Articles of the outlet at or above the threshold.';
COMMENT ON COLUMN outlet_daily.articles IS 'Articles of the outlet scored for the topic.';
COMMENT ON COLUMN outlet_daily.share IS 'Matches divided by articles.';

-- Corrected for coverage by indirect standardisation, as epidemiology compares places of different ages: the matches
-- of a day divided by those that its feeds would have given at each feed's usual share (docs/trends.md). A feed's
-- usual share is that of the topic's newest 28 days, drawn towards the topic's share by as much as 5 articles weigh.
CREATE VIEW topic_trend AS
WITH newest AS (
    SELECT topic, max(day) AS day FROM topic_feed_days GROUP BY topic
),
usual AS (
    SELECT
        counts.topic, counts.feed_url,
        sum(counts.matches) / (sum(counts.articles) + 5) AS own_share, 5 / (sum(counts.articles) + 5) AS drawn
    FROM topic_feed_days AS counts
    JOIN newest ON newest.topic = counts.topic
    WHERE counts.day > newest.day - 28
    GROUP BY counts.topic, counts.feed_url
),
counted AS (
    SELECT
        counts.day, counts.topic, CAST(sum(counts.matches) AS BIGINT) AS matches,
        CAST(sum(counts.articles) AS BIGINT) AS articles,
        sum(CASE WHEN usual.drawn IS NOT NULL THEN counts.matches ELSE 0 END) AS panel_matches,
        sum(CASE WHEN usual.drawn IS NOT NULL THEN counts.articles ELSE 0 END) AS panel_articles,
        sum(counts.articles * usual.own_share) AS expected_own, sum(counts.articles * usual.drawn) AS expected_drawn
    FROM topic_feed_days AS counts
    LEFT JOIN usual ON usual.topic = counts.topic AND usual.feed_url = counts.feed_url
    GROUP BY counts.day, counts.topic
),
overall AS (
    SELECT
        counted.topic, min(counted.day) AS first_day, sum(matches) / sum(articles) AS share,
        sum(CASE WHEN counted.day > newest.day - 28 THEN expected_own END) AS expected_own,
        sum(CASE WHEN counted.day > newest.day - 28 THEN expected_drawn END) AS expected_drawn,
        sum(CASE WHEN counted.day > newest.day - 28 THEN panel_articles END) AS articles
    FROM counted
    JOIN newest ON newest.topic = counted.topic
    GROUP BY counted.topic
),
standardised AS (
    SELECT
        counted.day, counted.topic, counted.matches, counted.articles, panel_articles,
        CAST(panel_matches AS DOUBLE) AS panel_matches,
        coalesce(counted.expected_own + counted.expected_drawn * overall.share, 0) AS expected,
        (overall.expected_own + overall.expected_drawn * overall.share) / overall.articles AS usual_share,
        counted.day - overall.first_day AS age, counted.day - DATE '2000-01-01' AS number
    FROM counted
    JOIN overall ON overall.topic = counted.topic
),
averaged AS (
    SELECT
        *,
        CASE WHEN expected > 0 THEN panel_matches / expected END AS ratio,
        CASE WHEN age >= 6 THEN sum(matches) OVER week / 7 END AS matches_7d,
        CASE WHEN age >= 27 THEN sum(matches) OVER month / 28 END AS matches_28d,
        CASE WHEN age >= 6 THEN sum(matches) OVER week / sum(articles) OVER week END AS share_7d,
        CASE WHEN age >= 27 THEN sum(matches) OVER month / sum(articles) OVER month END AS share_28d,
        CASE WHEN age >= 13 THEN sum(matches) OVER week_before / sum(articles) OVER week_before END AS share_before,
        CASE WHEN age >= 6 AND sum(expected) OVER week > 0
            THEN sum(panel_matches) OVER week / sum(expected) OVER week END AS ratio_7d,
        CASE WHEN age >= 27 AND sum(expected) OVER month > 0
            THEN sum(panel_matches) OVER month / sum(expected) OVER month END AS ratio_28d,
        CASE WHEN age >= 13 AND sum(expected) OVER week_before > 0
            THEN sum(panel_matches) OVER week_before / sum(expected) OVER week_before END AS ratio_before
    FROM standardised
    WINDOW
        week AS (PARTITION BY topic ORDER BY number RANGE BETWEEN 6 PRECEDING AND CURRENT ROW),
        week_before AS (PARTITION BY topic ORDER BY number RANGE BETWEEN 13 PRECEDING AND 7 PRECEDING),
        month AS (PARTITION BY topic ORDER BY number RANGE BETWEEN 27 PRECEDING AND CURRENT ROW)
),
spread AS (
    SELECT
        *,
        count(ratio) OVER same_weekdays AS compared, median(ratio) OVER same_weekdays AS middle,
        mad(ratio) OVER same_weekdays AS deviation
    FROM averaged
    WINDOW same_weekdays AS (
        PARTITION BY topic, number % 7 ORDER BY number RANGE BETWEEN 56 PRECEDING AND 7 PRECEDING
    )
)
SELECT
    day, topic, matches, articles, matches / articles AS share, matches_7d, matches_28d, share_7d, share_28d,
    CASE WHEN share_before > 0 THEN share_7d / share_before - 1 END AS change_7d,
    panel_articles / articles AS panel,
    ratio * usual_share AS corrected_share,
    ratio_7d * usual_share AS corrected_share_7d,
    ratio_28d * usual_share AS corrected_share_28d,
    CASE WHEN ratio_before > 0 THEN ratio_7d / ratio_before - 1 END AS corrected_change_7d,
    CASE WHEN compared >= 4 AND expected > 0
        THEN (ratio - middle) / greatest(1.4826 * deviation, sqrt(middle * expected + 1) / expected) END AS z_score
FROM spread;
COMMENT ON VIEW topic_trend IS
    'Per day (UTC, when first seen) and topic: how much of the news it is, raw and corrected for feeds that died or joined.';
COMMENT ON COLUMN topic_trend.day IS 'Day (UTC), by the articles'' first_seen_at; days without a scored article have no row.';
COMMENT ON COLUMN topic_trend.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_trend.matches IS 'Articles at or above the threshold.';
COMMENT ON COLUMN topic_trend.articles IS 'Articles scored for the topic.';
COMMENT ON COLUMN topic_trend.share IS 'Matches divided by articles: the share of coverage, as the feeds of that day had it.';
COMMENT ON COLUMN topic_trend.matches_7d IS 'Matches a day, average of the 7 days up to this one; empty in a topic''s first 6 days.';
COMMENT ON COLUMN topic_trend.matches_28d IS 'Matches a day, average of the 28 days up to this one; empty in a topic''s first 27 days.';
COMMENT ON COLUMN topic_trend.share_7d IS 'Share of coverage of the 7 days up to this one.';
COMMENT ON COLUMN topic_trend.share_28d IS 'Share of coverage of the 28 days up to this one.';
COMMENT ON COLUMN topic_trend.change_7d IS 'Week-on-week change of share_7d: 0.5 is half as much again. Not corrected.';
COMMENT ON COLUMN topic_trend.panel IS
    'Share of the day''s articles that come from feeds which were active in the topic''s newest 28 days too: corrected figures rest on them.';
COMMENT ON COLUMN topic_trend.corrected_share IS
    'Share of coverage corrected for feeds that died or joined; empty if no feed of the day is still active.';
COMMENT ON COLUMN topic_trend.corrected_share_7d IS 'The same over the 7 days up to this one.';
COMMENT ON COLUMN topic_trend.corrected_share_28d IS 'The same over the 28 days up to this one.';
COMMENT ON COLUMN topic_trend.corrected_change_7d IS 'Week-on-week change of corrected_share_7d.';
COMMENT ON COLUMN topic_trend.z_score IS
    'How unusual the corrected share is beside the same weekday of the 8 weeks before: distance from their median in robust standard deviations.';

CREATE VIEW co_topics AS
WITH span AS (
    SELECT max(day) AS last_day FROM topic_feed_days
),
moves AS (
    SELECT day, topic, corrected_share FROM topic_trend, span WHERE day > last_day - 91
),
together AS (
    SELECT one.topic, other.topic AS with_topic, corr(one.corrected_share, other.corrected_share) AS correlation,
        count(*) AS days
    FROM moves AS one
    JOIN moves AS other ON other.day = one.day AND other.topic <> one.topic
    WHERE one.corrected_share IS NOT NULL AND other.corrected_share IS NOT NULL
    GROUP BY one.topic, other.topic
),
recent AS (
    SELECT article_id, topic FROM match_scores, span WHERE day > last_day - 91
),
counted AS (
    SELECT topic, count(*) AS matches FROM recent GROUP BY topic
),
shared AS (
    SELECT one.topic, other.topic AS with_topic, count(*) AS articles
    FROM recent AS one
    JOIN recent AS other ON other.article_id = one.article_id AND other.topic <> one.topic
    GROUP BY one.topic, other.topic
)
SELECT
    together.topic, together.with_topic,
    CASE WHEN isfinite(together.correlation) THEN together.correlation END AS correlation, together.days,
    coalesce(shared.articles, 0) AS shared_articles,
    coalesce(shared.articles, 0) / counted.matches AS shared_share
FROM together
LEFT JOIN counted ON counted.topic = together.topic
LEFT JOIN shared ON shared.topic = together.topic AND shared.with_topic = together.with_topic;
COMMENT ON VIEW co_topics IS
    'Pairs of topics over the newest 91 days: whether they rise and fall together, and how many articles have both.';
COMMENT ON COLUMN co_topics.topic IS 'Name of the topic.';
COMMENT ON COLUMN co_topics.with_topic IS 'Name of the other topic; each pair is there both ways.';
COMMENT ON COLUMN co_topics.correlation IS
    'Correlation of their daily corrected shares, -1 to 1; empty if one of them never moved.';
COMMENT ON COLUMN co_topics.days IS 'Days that were compared.';
COMMENT ON COLUMN co_topics.shared_articles IS 'Articles that match both.';
COMMENT ON COLUMN co_topics.shared_share IS 'Part of the topic''s matches that match the other topic too.';
