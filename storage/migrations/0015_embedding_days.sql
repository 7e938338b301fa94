-- The day of each embedding, so that embeddings are published by month and a span of days is found without a join.

ALTER TABLE embeddings ADD COLUMN day DATE;
COMMENT ON COLUMN embeddings.day IS 'Day (UTC) on which we first saw the article.';
UPDATE embeddings SET day = CAST(articles.first_seen_at AT TIME ZONE 'UTC' AS DATE)
FROM articles WHERE articles.article_id = embeddings.article_id;
