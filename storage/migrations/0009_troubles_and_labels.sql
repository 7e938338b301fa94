-- What keeps a channel from being told is told to the operator once, and its alerts wait together; people's labels.

ALTER TABLE alerts ADD COLUMN holds_channel BOOLEAN;
COMMENT ON COLUMN alerts.holds_channel IS
    'True: until retry_at nothing else is sent to the channel either, so that alerts stay in order.';

CREATE TABLE channel_troubles (
    subject  VARCHAR NOT NULL,
    channel  VARCHAR NOT NULL,
    code     VARCHAR NOT NULL,
    message  VARCHAR NOT NULL,
    since    TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    run_id   VARCHAR NOT NULL
);
COMMENT ON TABLE channel_troubles IS 'One row per episode in which alerts could not be delivered as promised.';
COMMENT ON COLUMN channel_troubles.subject IS
    'What is in trouble: channel:NAME, outlet:NAME, alert:ID, history:NAME or promise:OUTLET.';
COMMENT ON COLUMN channel_troubles.channel IS 'Channel in which it was noticed.';
COMMENT ON COLUMN channel_troubles.code IS 'Code that the outlet gave, such as not_in_channel.';
COMMENT ON COLUMN channel_troubles.message IS 'What the operator was told.';
COMMENT ON COLUMN channel_troubles.since IS 'When it was noticed (UTC).';
COMMENT ON COLUMN channel_troubles.ended_at IS 'When deliveries worked again (UTC); empty while it lasts.';
COMMENT ON COLUMN channel_troubles.run_id IS 'Run that noticed it.';

CREATE TABLE labels (
    article_id  BIGINT NOT NULL,
    topic       VARCHAR NOT NULL,
    positive    BOOLEAN NOT NULL,
    labelled_by VARCHAR NOT NULL,
    labelled_at TIMESTAMPTZ NOT NULL,
    channel     VARCHAR NOT NULL,
    alert_id    VARCHAR NOT NULL
);
COMMENT ON TABLE labels IS 'One row per article, topic, person and channel: a person''s yes or no, as it stands now.';
COMMENT ON COLUMN labels.article_id IS 'Article that was judged.';
COMMENT ON COLUMN labels.topic IS 'Topic that the alert named.';
COMMENT ON COLUMN labels.positive IS 'True: relevant to the topic; false: not.';
COMMENT ON COLUMN labels.labelled_by IS 'Who: the id that Slack gives the person.';
COMMENT ON COLUMN labels.labelled_at IS 'When the reaction was first read (UTC); Slack does not say when it was made.';
COMMENT ON COLUMN labels.channel IS 'Channel whose message the person reacted to.';
COMMENT ON COLUMN labels.alert_id IS 'Alert that the message told.';
