-- What a parser found odd about a feed is worth showing to an operator.

ALTER TABLE fetches ADD COLUMN notes VARCHAR[];
COMMENT ON COLUMN fetches.notes IS 'What was odd about the feed, one sentence each; empty where nothing was parsed.';
