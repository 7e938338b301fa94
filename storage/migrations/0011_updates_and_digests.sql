-- Messages that are brought up to date as more outlets have their story, and digests: one per channel and period.

ALTER TABLE alerts ADD COLUMN shown_outlets INTEGER;
COMMENT ON COLUMN alerts.shown_outlets IS
    'Outlets that the message named when it was sent; empty if it was never sent, or was sent before this was kept.';

CREATE TABLE message_updates (
    alert_id   VARCHAR NOT NULL,
    state      VARCHAR NOT NULL,
    outlets    INTEGER NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL,
    shown      INTEGER,
    shown_at   TIMESTAMPTZ,
    attempts   INTEGER NOT NULL,
    retry_at   TIMESTAMPTZ,
    error      VARCHAR
);
COMMENT ON TABLE message_updates IS
    'One row per delivered message that was, or is to be, brought up to date because more outlets have its story.';
COMMENT ON COLUMN message_updates.alert_id IS 'Alert that the message tells.';
COMMENT ON COLUMN message_updates.state IS
    'pending (to be shown), shown, or ended (the message cannot be changed any more; error says why).';
COMMENT ON COLUMN message_updates.outlets IS 'Outlets that the message is to name, as decided last.';
COMMENT ON COLUMN message_updates.decided_at IS 'When that was decided (UTC).';
COMMENT ON COLUMN message_updates.shown IS 'Outlets that the message names since its last update; empty before the first.';
COMMENT ON COLUMN message_updates.shown_at IS 'When it was updated last (UTC); empty before the first update.';
COMMENT ON COLUMN message_updates.attempts IS 'Attempts to update it so far.';
COMMENT ON COLUMN message_updates.retry_at IS 'Not to be tried again before (UTC).';
COMMENT ON COLUMN message_updates.error IS 'What the last failed attempt said.';

CREATE TABLE digests (
    digest_id     VARCHAR NOT NULL,
    channel       VARCHAR NOT NULL,
    period        VARCHAR NOT NULL,
    since         TIMESTAMPTZ NOT NULL,
    until         TIMESTAMPTZ NOT NULL,
    decided_at    TIMESTAMPTZ NOT NULL,
    run_id        VARCHAR NOT NULL,
    state         VARCHAR NOT NULL,
    attempts      INTEGER NOT NULL,
    retry_at      TIMESTAMPTZ,
    delivered_at  TIMESTAMPTZ,
    message_ts    VARCHAR,
    error         VARCHAR
);
COMMENT ON TABLE digests IS 'One row per channel and period for which a digest was asked for.';
COMMENT ON COLUMN digests.digest_id IS 'Id of the digest; it travels with the message, so that it is never sent twice.';
COMMENT ON COLUMN digests.channel IS 'Channel, without #.';
COMMENT ON COLUMN digests.period IS 'Day (2026-01-31) or ISO week (2026-W05) that it is about, UTC.';
COMMENT ON COLUMN digests.since IS 'When the period began (UTC).';
COMMENT ON COLUMN digests.until IS 'When it ended (UTC).';
COMMENT ON COLUMN digests.decided_at IS 'When the digest was first asked for (UTC).';
COMMENT ON COLUMN digests.run_id IS 'Run that asked for it first.';
COMMENT ON COLUMN digests.state IS 'pending, sending, delivered or failed, as for alerts.';
COMMENT ON COLUMN digests.attempts IS 'Attempts to send it so far.';
COMMENT ON COLUMN digests.retry_at IS 'Not to be tried again before (UTC).';
COMMENT ON COLUMN digests.delivered_at IS 'When it was delivered (UTC).';
COMMENT ON COLUMN digests.message_ts IS 'Id that the outlet gave the message.';
COMMENT ON COLUMN digests.error IS 'What the last failed attempt said.';
