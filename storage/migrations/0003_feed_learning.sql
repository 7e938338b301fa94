-- What is learnt of a feed: where it moved, whether it is gone, whether its 304s can be believed, its rhythm.

ALTER TABLE feeds ADD COLUMN moved_to VARCHAR;
ALTER TABLE feeds ADD COLUMN moved_at TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN redirect_to VARCHAR;
ALTER TABLE feeds ADD COLUMN redirect_count INTEGER;
ALTER TABLE feeds ADD COLUMN redirect_since TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN gone_at TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN failing_since TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN distrust_304_at TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN last_new_at TIMESTAMPTZ;
ALTER TABLE feeds ADD COLUMN entry_gap INTERVAL;
ALTER TABLE feeds ADD COLUMN usual_gap INTERVAL;
COMMENT ON COLUMN feeds.moved_to IS 'URL that is asked instead, after permanent redirects; empty if the feed has not moved.';
COMMENT ON COLUMN feeds.moved_at IS 'When the move was last confirmed by the feed''s own URL (UTC).';
COMMENT ON COLUMN feeds.redirect_to IS 'Where permanent redirects lead that were not seen often enough yet.';
COMMENT ON COLUMN feeds.redirect_count IS 'Successful polls in a row that were redirected there.';
COMMENT ON COLUMN feeds.redirect_since IS 'When the first of them was (UTC).';
COMMENT ON COLUMN feeds.gone_at IS 'When the publisher first said that the feed is gone for good (UTC).';
COMMENT ON COLUMN feeds.failing_since IS 'When the first failed poll since the last success was (UTC).';
COMMENT ON COLUMN feeds.distrust_304_at IS 'When the server was last caught saying not modified although there were new entries (UTC).';
COMMENT ON COLUMN feeds.last_new_at IS 'When the feed last had a new entry (UTC); after its first poll, the newest time that its entries claim.';
COMMENT ON COLUMN feeds.entry_gap IS 'Usual time per new entry; sets the pace.';
COMMENT ON COLUMN feeds.usual_gap IS 'Usual time between polls that bring new entries; tells when silence is unusual.';

CREATE TABLE feed_warnings (
    warning_id VARCHAR NOT NULL,
    feed_url   VARCHAR NOT NULL,
    kind       VARCHAR NOT NULL,
    since      TIMESTAMPTZ NOT NULL,
    message    VARCHAR NOT NULL,
    warned_at  TIMESTAMPTZ NOT NULL,
    run_id     VARCHAR NOT NULL
);
COMMENT ON TABLE feed_warnings IS 'One row per warning about a feed; made once per feed, kind and episode.';
COMMENT ON COLUMN feed_warnings.warning_id IS 'Id of the warning, the same as long as the episode lasts.';
COMMENT ON COLUMN feed_warnings.feed_url IS 'Feed that was warned about.';
COMMENT ON COLUMN feed_warnings.kind IS 'failing, gone or silent.';
COMMENT ON COLUMN feed_warnings.since IS 'When the episode began (UTC).';
COMMENT ON COLUMN feed_warnings.message IS 'What the operator was told.';
COMMENT ON COLUMN feed_warnings.warned_at IS 'When the warning was made (UTC).';
COMMENT ON COLUMN feed_warnings.run_id IS 'Run that made it.';

CREATE OR REPLACE VIEW feed_health AS
SELECT
    url, title, outlet, folder,
    CASE
        WHEN polled_at IS NULL THEN 'new'
        WHEN gone_at IS NOT NULL THEN 'gone'
        WHEN failures = 0 THEN 'ok'
        WHEN succeeded_at IS NULL THEN 'never worked'
        ELSE 'failing'
    END AS health,
    failures, last_outcome, last_severity, last_status, last_reason, last_message,
    polled_at, succeeded_at, next_poll_at, poll_interval, baseline_at,
    failing_since, gone_at, moved_to, distrust_304_at, last_new_at, usual_gap
FROM feeds;
COMMENT ON VIEW feed_health IS 'One row per feed: whether it works, what its last fetch said, and when it is due.';
