-- Why each close article rang or did not.

CREATE TABLE decisions (
    article_id    BIGINT NOT NULL,
    topic         VARCHAR NOT NULL,
    channel       VARCHAR NOT NULL,
    run_id        VARCHAR NOT NULL,
    decided_at    TIMESTAMPTZ NOT NULL,
    rule          VARCHAR NOT NULL,
    rings         BOOLEAN NOT NULL,
    score         DOUBLE NOT NULL,
    threshold     DOUBLE NOT NULL,
    fitted        DOUBLE,
    outlets       INTEGER NOT NULL,
    story_id      BIGINT NOT NULL,
    hold_until    TIMESTAMPTZ,
    alert_id      VARCHAR,
    topic_version VARCHAR NOT NULL,
    explanation   VARCHAR NOT NULL
);
COMMENT ON TABLE decisions IS
    'One row per article, topic, channel and run whose score was a match or close to one: the rule that decided.';
COMMENT ON COLUMN decisions.article_id IS 'Article that was decided on.';
COMMENT ON COLUMN decisions.topic IS 'Topic that it was close to.';
COMMENT ON COLUMN decisions.channel IS 'Channel that hears of the topic.';
COMMENT ON COLUMN decisions.run_id IS 'Run that decided.';
COMMENT ON COLUMN decisions.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN decisions.rule IS 'Rule that let it ring or stopped it, as a slug.';
COMMENT ON COLUMN decisions.rings IS 'True if it rang, at once or after quiet hours.';
COMMENT ON COLUMN decisions.score IS 'Score of the article for the topic.';
COMMENT ON COLUMN decisions.threshold IS 'Threshold of the topic.';
COMMENT ON COLUMN decisions.fitted IS 'Threshold that the daily budget raised it to; empty without a budget.';
COMMENT ON COLUMN decisions.outlets IS 'Outlets that had the story, muted ones aside.';
COMMENT ON COLUMN decisions.story_id IS 'Story of the article: its own id if it is in none.';
COMMENT ON COLUMN decisions.hold_until IS 'End of the quiet hours that it waits for (UTC); empty for none.';
COMMENT ON COLUMN decisions.alert_id IS 'Alert that tells it; empty if it did not ring.';
COMMENT ON COLUMN decisions.topic_version IS 'Version of the topic that decided.';
COMMENT ON COLUMN decisions.explanation IS 'The rule in a sentence, with its numbers.';

CREATE VIEW decision_trail AS
SELECT
    ranked.decided_at, ranked.topic, ranked.channel, ranked.rule, ranked.rings, ranked.explanation,
    articles.title, articles.outlet, articles.url, ranked.score, ranked.threshold, ranked.fitted, ranked.outlets,
    ranked.hold_until, alerts.state AS alert_state, alerts.delivered_at, ranked.is_final,
    ranked.article_id, ranked.story_id, ranked.alert_id, ranked.topic_version, ranked.run_id
FROM (
    SELECT
        decisions.*,
        row_number() OVER (
            PARTITION BY decisions.article_id, decisions.topic ORDER BY decisions.decided_at DESC, decisions.run_id DESC
        ) = 1 AS is_final
    FROM decisions
) AS ranked
LEFT JOIN articles ON articles.article_id = ranked.article_id
LEFT JOIN alerts ON alerts.alert_id = ranked.alert_id;
COMMENT ON VIEW decision_trail IS
    'Every decision on a close article in words: the rule, its numbers, and what became of its alert.';
