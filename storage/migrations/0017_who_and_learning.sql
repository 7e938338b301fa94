-- Who changed topics, labels given by hand, and whether a topic's labels count in its scores.

ALTER TABLE topics ADD COLUMN recorded_by VARCHAR;
ALTER TABLE topic_sets ADD COLUMN recorded_by VARCHAR;
COMMENT ON COLUMN topics.recorded_by IS 'Who brought this version into use; empty if that was not kept.';
COMMENT ON COLUMN topic_sets.recorded_by IS 'Who brought this set into use; empty if that was not kept.';

COMMENT ON COLUMN labels.topic IS 'Topic that the alert named, or that the person was asked about.';
COMMENT ON COLUMN labels.labelled_by IS 'Who: the id that Slack gives the person, or the name of who labelled by hand.';
COMMENT ON COLUMN labels.labelled_at IS
    'When the reaction was first read (UTC), since Slack does not say when it was made; of a label by hand, when it was given.';
COMMENT ON COLUMN labels.channel IS 'Channel whose message the person reacted to; by hand for a label from tocsin label.';
COMMENT ON COLUMN labels.alert_id IS 'Alert that the message told; by hand for a label from tocsin label.';

CREATE TABLE learning (
    topic       VARCHAR NOT NULL,
    uses_labels BOOLEAN NOT NULL,
    decided_at  TIMESTAMPTZ NOT NULL,
    decided_by  VARCHAR NOT NULL,
    report      JSON
);
COMMENT ON TABLE learning IS
    'One row per decision whether people''s labels count in the scores of a topic; the newest counts, without any they do.';
COMMENT ON COLUMN learning.topic IS 'Name of the topic.';
COMMENT ON COLUMN learning.uses_labels IS 'True: labels correct the scores of the topic; false: they are kept, and do not.';
COMMENT ON COLUMN learning.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN learning.decided_by IS 'Who decided.';
COMMENT ON COLUMN learning.report IS 'What was compared, as one JSON object; empty if a person decided without comparing.';
