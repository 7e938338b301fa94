-- Which articles tell of one event, and which story an alert was about.

CREATE TABLE story_articles (
    story_id   BIGINT NOT NULL,
    article_id BIGINT NOT NULL,
    likelihood DOUBLE,
    run_id     VARCHAR NOT NULL
);
COMMENT ON TABLE story_articles IS 'One row per article: the story that it belongs to. A row never changes.';
COMMENT ON COLUMN story_articles.story_id IS 'Story: the id of the article that it began with.';
COMMENT ON COLUMN story_articles.article_id IS 'Article of the story.';
COMMENT ON COLUMN story_articles.likelihood IS
    'How probable it is, 0 to 1, that the nearest article of the story tells the same event; empty for the first article.';
COMMENT ON COLUMN story_articles.run_id IS 'Run that tied the article to the story.';

ALTER TABLE alerts ADD COLUMN story_id BIGINT;
ALTER TABLE alerts ADD COLUMN cause VARCHAR;
ALTER TABLE alerts ADD COLUMN outlets INTEGER;
COMMENT ON COLUMN alerts.story_id IS 'Story that the channel was told of; empty for warnings, and for alerts older than stories.';
COMMENT ON COLUMN alerts.cause IS 'story (first told), topic (a further topic of a told story) or coverage (far more outlets than told).';
COMMENT ON COLUMN alerts.outlets IS 'Outlets that had the story when it was decided.';
COMMENT ON TABLE alerts IS
    'One row per decision to tell a channel of a story; made once per story and channel, and again for a further topic.';

CREATE VIEW stories AS
SELECT
    counted.story_id, headline.title, headline.url, headline.outlet,
    counted.first_seen_at, counted.last_seen_at, counted.articles, counted.outlets
FROM (
    SELECT
        tied.story_id,
        min(articles.first_seen_at) AS first_seen_at, max(articles.first_seen_at) AS last_seen_at,
        count(*) AS articles, count(DISTINCT lower(articles.outlet)) AS outlets
    FROM story_articles AS tied
    JOIN articles ON articles.article_id = tied.article_id
    GROUP BY tied.story_id
) AS counted
JOIN articles AS headline ON headline.article_id = counted.story_id;
COMMENT ON VIEW stories IS 'One row per story: its first article''s headline, and how many articles and outlets tell it.';

CREATE VIEW top_stories AS
SELECT
    counted.day, counted.topic,
    row_number() OVER (
        PARTITION BY counted.day, counted.topic
        ORDER BY counted.outlets DESC, counted.score DESC, counted.story_id
    ) AS position,
    counted.story_id, headline.title, headline.url, headline.outlet,
    counted.outlets, counted.matches, counted.score
FROM (
    SELECT
        matches.day, matches.topic, tied.story_id,
        count(DISTINCT lower(matches.outlet)) AS outlets, count(*) AS matches, max(matches.score) AS score
    FROM matches
    JOIN story_articles AS tied ON tied.article_id = matches.article_id
    GROUP BY matches.day, matches.topic, tied.story_id
) AS counted
JOIN articles AS headline ON headline.article_id = counted.story_id;
COMMENT ON VIEW top_stories IS
    'Per day (UTC, when first seen) and topic: the stories with a match, those of most outlets first.';
