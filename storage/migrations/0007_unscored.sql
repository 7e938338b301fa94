-- Articles that an encoder cannot judge are marked so, instead of being scored as noise.

CREATE TABLE unscored (
    article_id       BIGINT NOT NULL,
    encoder_revision VARCHAR NOT NULL,
    reason           VARCHAR NOT NULL,
    marked_at        TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE unscored IS 'One row per article and encoder revision that cannot judge it.';
COMMENT ON COLUMN unscored.article_id IS 'Article that got no score.';
COMMENT ON COLUMN unscored.encoder_revision IS 'Revision of the encoder that cannot judge it.';
COMMENT ON COLUMN unscored.reason IS 'Why: language (the encoder does not cover the language of the article).';
COMMENT ON COLUMN unscored.marked_at IS 'When it was marked (UTC).';

CREATE VIEW unscored_articles AS
SELECT
    articles.article_id, marks.reason, articles.language, marks.encoder_revision, marks.marked_at,
    articles.title, articles.outlet, articles.url, articles.published_at, articles.first_seen_at
FROM (
    SELECT article_id, max(marked_at) AS marked_at, arg_max(reason, marked_at) AS reason,
        arg_max(encoder_revision, marked_at) AS encoder_revision
    FROM unscored
    WHERE article_id NOT IN (
        SELECT scores.article_id FROM scores WHERE scores.article_id IN (SELECT unscored.article_id FROM unscored)
    )
    GROUP BY article_id
) AS marks
JOIN articles ON articles.article_id = marks.article_id;
COMMENT ON VIEW unscored_articles IS
    'Articles without any score because no encoder so far could judge them, and why; scoring them later takes them out.';
