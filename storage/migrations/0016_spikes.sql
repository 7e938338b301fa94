-- Topics whose volume left its baseline: one row per episode that was told.

CREATE TABLE spikes (
    alert_id   VARCHAR NOT NULL,
    topic      VARCHAR NOT NULL,
    channel    VARCHAR NOT NULL,
    run_id     VARCHAR NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL,
    began_at   TIMESTAMPTZ NOT NULL,
    hours      INTEGER NOT NULL,
    matches    INTEGER NOT NULL,
    usual      DOUBLE NOT NULL,
    z_score    DOUBLE NOT NULL,
    outlets    INTEGER NOT NULL,
    terms      VARCHAR[] NOT NULL,
    stories    JSON NOT NULL
);
COMMENT ON TABLE spikes IS
    'One row per spike that was told: a topic whose volume, corrected for coverage, left its baseline (docs/spikes.md).';
COMMENT ON COLUMN spikes.alert_id IS 'Alert that tells it, in alerts.';
COMMENT ON COLUMN spikes.topic IS 'Topic that spiked.';
COMMENT ON COLUMN spikes.channel IS 'Channel that was told.';
COMMENT ON COLUMN spikes.run_id IS 'Run that decided.';
COMMENT ON COLUMN spikes.decided_at IS 'When it was decided (UTC); the cooldown of the topic counts from here.';
COMMENT ON COLUMN spikes.began_at IS 'When the first of the counted articles was first seen (UTC).';
COMMENT ON COLUMN spikes.hours IS 'Length of the window that was looked at: 6 or 24 hours up to decided_at.';
COMMENT ON COLUMN spikes.matches IS 'Articles that matched in the window, of feeds that can be compared.';
COMMENT ON COLUMN spikes.usual IS 'Matches that those feeds would have had at the usual rate of this hour and weekday.';
COMMENT ON COLUMN spikes.z_score IS 'Distance from the usual in robust standard deviations.';
COMMENT ON COLUMN spikes.outlets IS 'Distinct outlets of the matches.';
COMMENT ON COLUMN spikes.terms IS 'Words of the headlines that stand out beside those of the 8 weeks before, most first.';
COMMENT ON COLUMN spikes.stories IS 'Leading stories: a list with title, url, outlet and outlets.';
