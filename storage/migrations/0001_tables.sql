-- The history's tables. No keys, unique constraints or indexes: storage code keeps rows unique.

CREATE TABLE runs (
    run_id      VARCHAR NOT NULL,
    flow        VARCHAR NOT NULL,
    started_at  TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    state       VARCHAR NOT NULL,
    report      JSON
);
COMMENT ON TABLE runs IS 'One row per run of a flow.';
COMMENT ON COLUMN runs.run_id IS 'Id of the run; it is in every log line of the run.';
COMMENT ON COLUMN runs.flow IS 'Name of the flow, such as monitor.';
COMMENT ON COLUMN runs.started_at IS 'When the run started (UTC).';
COMMENT ON COLUMN runs.finished_at IS 'When the run ended or was found abandoned; empty while it runs.';
COMMENT ON COLUMN runs.state IS 'running, completed, failed or abandoned (killed before it could finish).';
COMMENT ON COLUMN runs.report IS 'What the run did, as one JSON object of counts and seconds.';

CREATE TABLE feeds (
    url            VARCHAR NOT NULL,
    title          VARCHAR,
    outlet         VARCHAR,
    folder         VARCHAR,
    added_at       TIMESTAMPTZ,
    validators_url VARCHAR,
    etag           VARCHAR,
    last_modified  VARCHAR,
    body_hash      VARCHAR,
    polled_at      TIMESTAMPTZ,
    succeeded_at   TIMESTAMPTZ,
    full_fetch_at  TIMESTAMPTZ,
    next_poll_at   TIMESTAMPTZ,
    poll_interval  INTERVAL,
    failures       INTEGER NOT NULL,
    baseline_at    TIMESTAMPTZ,
    last_outcome   VARCHAR,
    last_severity  VARCHAR,
    last_status    INTEGER,
    last_reason    VARCHAR,
    last_message   VARCHAR
);
COMMENT ON TABLE feeds IS 'One row per feed ever polled or listed, with what is remembered between polls.';
COMMENT ON COLUMN feeds.url IS 'URL of the feed; its identity.';
COMMENT ON COLUMN feeds.title IS 'Title given by a person or a feed list.';
COMMENT ON COLUMN feeds.outlet IS 'Publisher given by a person or a feed list.';
COMMENT ON COLUMN feeds.folder IS 'Group the feed has in the feed list.';
COMMENT ON COLUMN feeds.added_at IS 'When the feed was first listed or polled (UTC).';
COMMENT ON COLUMN feeds.validators_url IS 'URL that gave etag and last_modified; they are replayed only to it.';
COMMENT ON COLUMN feeds.etag IS 'ETag of the last answer, for conditional requests.';
COMMENT ON COLUMN feeds.last_modified IS 'Last-Modified of the last answer, for conditional requests.';
COMMENT ON COLUMN feeds.body_hash IS 'Hash of the last body, to notice servers that never answer 304.';
COMMENT ON COLUMN feeds.polled_at IS 'When the feed was last polled, whatever came of it (UTC).';
COMMENT ON COLUMN feeds.succeeded_at IS 'When a poll last succeeded (UTC).';
COMMENT ON COLUMN feeds.full_fetch_at IS 'When the feed was last fetched unconditionally (UTC).';
COMMENT ON COLUMN feeds.next_poll_at IS 'When the feed is due again (UTC).';
COMMENT ON COLUMN feeds.poll_interval IS 'Time between polls that fits the rhythm of the feed.';
COMMENT ON COLUMN feeds.failures IS 'Failed polls since the last success.';
COMMENT ON COLUMN feeds.baseline_at IS 'When the first successful poll was stored; its articles alert nobody (UTC).';
COMMENT ON COLUMN feeds.last_outcome IS 'Outcome of the last fetch: new, not_modified or failed.';
COMMENT ON COLUMN feeds.last_severity IS 'Of a failed last fetch: temporary, soft or hard.';
COMMENT ON COLUMN feeds.last_status IS 'HTTP status of the last fetch; empty if no answer came.';
COMMENT ON COLUMN feeds.last_reason IS 'Of a failed last fetch: the reason as a slug.';
COMMENT ON COLUMN feeds.last_message IS 'Of a failed last fetch: the reason as a sentence.';

CREATE TABLE fetches (
    run_id         VARCHAR NOT NULL,
    feed_url       VARCHAR NOT NULL,
    fetched_at     TIMESTAMPTZ NOT NULL,
    outcome        VARCHAR NOT NULL,
    status         INTEGER,
    severity       VARCHAR,
    reason         VARCHAR,
    message        VARCHAR,
    final_url      VARCHAR,
    received_bytes BIGINT NOT NULL,
    seconds        DOUBLE NOT NULL,
    entries        INTEGER NOT NULL,
    new_articles   INTEGER NOT NULL
);
COMMENT ON TABLE fetches IS 'One row per feed and run: what one HTTP exchange brought.';
COMMENT ON COLUMN fetches.run_id IS 'Run that fetched.';
COMMENT ON COLUMN fetches.feed_url IS 'Feed that was fetched.';
COMMENT ON COLUMN fetches.fetched_at IS 'When it was fetched (UTC).';
COMMENT ON COLUMN fetches.outcome IS 'new, not_modified or failed.';
COMMENT ON COLUMN fetches.status IS 'HTTP status; empty if no answer came.';
COMMENT ON COLUMN fetches.severity IS 'Of a failure: temporary, soft or hard.';
COMMENT ON COLUMN fetches.reason IS 'Of a failure: the reason as a slug.';
COMMENT ON COLUMN fetches.message IS 'Of a failure: the reason as a sentence.';
COMMENT ON COLUMN fetches.final_url IS 'URL after redirects.';
COMMENT ON COLUMN fetches.received_bytes IS 'Bytes received over the network.';
COMMENT ON COLUMN fetches.seconds IS 'Duration of the exchange in seconds.';
COMMENT ON COLUMN fetches.entries IS 'Entries in the feed.';
COMMENT ON COLUMN fetches.new_articles IS 'Articles that this fetch brought first.';

CREATE TABLE articles (
    article_id    BIGINT NOT NULL,
    url           VARCHAR,
    title         VARCHAR NOT NULL,
    summary       VARCHAR NOT NULL,
    outlet        VARCHAR NOT NULL,
    feed_url      VARCHAR NOT NULL,
    published_at  TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL,
    run_id        VARCHAR NOT NULL
);
COMMENT ON TABLE articles IS 'One row per article: our deduplicated record behind one or more entries.';
COMMENT ON COLUMN articles.article_id IS 'Id of the article: a 63-bit hash of the identity seen first.';
COMMENT ON COLUMN articles.url IS 'Address of the article, if its feed gave one.';
COMMENT ON COLUMN articles.title IS 'Headline as first seen, plain text.';
COMMENT ON COLUMN articles.summary IS 'Summary as first seen, plain text; may be empty.';
COMMENT ON COLUMN articles.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN articles.feed_url IS 'Feed that brought the article first.';
COMMENT ON COLUMN articles.published_at IS 'Publication time as the feed claims it (UTC); may be empty or wrong.';
COMMENT ON COLUMN articles.first_seen_at IS 'When we first saw the article (UTC); never empty, so trends use it.';
COMMENT ON COLUMN articles.run_id IS 'Run that stored the article.';

CREATE TABLE entries (
    feed_url      VARCHAR NOT NULL,
    article_id    BIGINT NOT NULL,
    guid          VARCHAR,
    url           VARCHAR,
    title         VARCHAR NOT NULL,
    published_at  TIMESTAMPTZ,
    first_seen_at TIMESTAMPTZ NOT NULL,
    run_id        VARCHAR NOT NULL
);
COMMENT ON TABLE entries IS 'One row per feed, article and headline: who carried an article, and how its headline changed.';
COMMENT ON COLUMN entries.feed_url IS 'Feed that gave the entry.';
COMMENT ON COLUMN entries.article_id IS 'Article the entry belongs to.';
COMMENT ON COLUMN entries.guid IS 'Id that the feed gave the entry.';
COMMENT ON COLUMN entries.url IS 'Link that the feed gave the entry.';
COMMENT ON COLUMN entries.title IS 'Headline in this entry, plain text.';
COMMENT ON COLUMN entries.published_at IS 'Publication time as this entry claims it (UTC).';
COMMENT ON COLUMN entries.first_seen_at IS 'When this feed first gave this headline for the article (UTC).';
COMMENT ON COLUMN entries.run_id IS 'Run that stored the entry.';

CREATE TABLE seen (
    key        BIGINT NOT NULL,
    article_id BIGINT NOT NULL
);
COMMENT ON TABLE seen IS 'Every identity ever seen, kept for ever so that nothing old comes back as new.';
COMMENT ON COLUMN seen.key IS '63-bit hash of an identity (URL, content, id in a feed).';
COMMENT ON COLUMN seen.article_id IS 'Article that the identity stands for.';

CREATE TABLE embeddings (
    article_id       BIGINT NOT NULL,
    encoder_revision VARCHAR NOT NULL,
    embedding        FLOAT[384] NOT NULL
);
COMMENT ON TABLE embeddings IS 'One row per article and encoder revision: what the transformer made of the text.';
COMMENT ON COLUMN embeddings.article_id IS 'Article that was embedded.';
COMMENT ON COLUMN embeddings.encoder_revision IS 'Revision of the encoder.';
COMMENT ON COLUMN embeddings.embedding IS 'Unit vector of 384 numbers; its inner product with another is their similarity.';

CREATE TABLE topics (
    topic       VARCHAR NOT NULL,
    version     VARCHAR NOT NULL,
    definition  JSON NOT NULL,
    threshold   DOUBLE NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    run_id      VARCHAR NOT NULL
);
COMMENT ON TABLE topics IS 'One row per change of a topic: its versions in the order they came into use.';
COMMENT ON COLUMN topics.topic IS 'Name of the topic.';
COMMENT ON COLUMN topics.version IS 'Hash of the definition; a row is added only when it differs from the newest one.';
COMMENT ON COLUMN topics.definition IS 'The whole definition as JSON.';
COMMENT ON COLUMN topics.threshold IS 'Lowest score that counts as a match.';
COMMENT ON COLUMN topics.recorded_at IS 'When this version came into use (UTC).';
COMMENT ON COLUMN topics.run_id IS 'Run that recorded it.';

CREATE TABLE topic_sets (
    edition     INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    topic       VARCHAR NOT NULL,
    version     VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    run_id      VARCHAR NOT NULL
);
COMMENT ON TABLE topic_sets IS 'Which topics were watched together; an edition is added when the set or a version changes.';
COMMENT ON COLUMN topic_sets.edition IS 'Number of the set, counting up; the highest is in use.';
COMMENT ON COLUMN topic_sets.position IS 'Place of the topic in the set, from 0.';
COMMENT ON COLUMN topic_sets.topic IS 'Name of the topic.';
COMMENT ON COLUMN topic_sets.version IS 'Version of the topic in this set.';
COMMENT ON COLUMN topic_sets.recorded_at IS 'When the set came into use (UTC).';
COMMENT ON COLUMN topic_sets.run_id IS 'Run that recorded it.';

CREATE TABLE scores (
    article_id       BIGINT NOT NULL,
    topic            VARCHAR NOT NULL,
    topic_version    VARCHAR NOT NULL,
    encoder_revision VARCHAR NOT NULL,
    head             VARCHAR NOT NULL,
    score            FLOAT NOT NULL,
    scored_at        TIMESTAMPTZ NOT NULL,
    day              DATE NOT NULL,
    is_newest        BOOLEAN NOT NULL
);
COMMENT ON TABLE scores IS 'One row per article, topic version, encoder revision and head; old versions are kept.';
COMMENT ON COLUMN scores.article_id IS 'Article that was scored.';
COMMENT ON COLUMN scores.topic IS 'Name of the topic.';
COMMENT ON COLUMN scores.topic_version IS 'Version of the topic that it was scored for.';
COMMENT ON COLUMN scores.encoder_revision IS 'Revision of the encoder whose embedding was scored.';
COMMENT ON COLUMN scores.head IS 'Which head scored it.';
COMMENT ON COLUMN scores.score IS 'Calibrated probability, 0 to 1, that the article has the topic.';
COMMENT ON COLUMN scores.scored_at IS 'When it was scored (UTC).';
COMMENT ON COLUMN scores.day IS 'Day (UTC) the article was first seen, so that trends need no join.';
COMMENT ON COLUMN scores.is_newest IS 'True for the score in use: the one stored last for the article and topic.';

CREATE TABLE alerts (
    alert_id     VARCHAR NOT NULL,
    article_id   BIGINT NOT NULL,
    channel      VARCHAR NOT NULL,
    topic        VARCHAR,
    topics       VARCHAR[] NOT NULL,
    score        DOUBLE,
    title        VARCHAR NOT NULL,
    url          VARCHAR,
    outlet       VARCHAR NOT NULL,
    published_at TIMESTAMPTZ,
    reasons      JSON NOT NULL,
    decided_at   TIMESTAMPTZ NOT NULL,
    run_id       VARCHAR NOT NULL,
    state        VARCHAR NOT NULL,
    attempts     INTEGER NOT NULL,
    retry_at     TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    message_ts   VARCHAR,
    error        VARCHAR
);
COMMENT ON TABLE alerts IS 'One row per decision to tell a channel about an article; made once per article and channel.';
COMMENT ON COLUMN alerts.alert_id IS 'Id of the alert; it travels with the message, so that it is never sent twice.';
COMMENT ON COLUMN alerts.article_id IS 'Article that the alert is about.';
COMMENT ON COLUMN alerts.channel IS 'Slack channel, or console.';
COMMENT ON COLUMN alerts.topic IS 'Leading topic: the one with the highest score.';
COMMENT ON COLUMN alerts.topics IS 'All matched topics, highest score first.';
COMMENT ON COLUMN alerts.score IS 'Score of the leading topic.';
COMMENT ON COLUMN alerts.title IS 'Headline that was sent.';
COMMENT ON COLUMN alerts.url IS 'Address that was sent.';
COMMENT ON COLUMN alerts.outlet IS 'Publisher that was named.';
COMMENT ON COLUMN alerts.published_at IS 'Publication time as claimed (UTC).';
COMMENT ON COLUMN alerts.reasons IS 'Why: a list of topic, score and the sentence that speaks most for it.';
COMMENT ON COLUMN alerts.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN alerts.run_id IS 'Run that decided it.';
COMMENT ON COLUMN alerts.state IS 'pending, sending, delivered or failed.';
COMMENT ON COLUMN alerts.attempts IS 'Attempts to send it so far.';
COMMENT ON COLUMN alerts.retry_at IS 'Not to be tried again before (UTC); a failed alert without it is given up.';
COMMENT ON COLUMN alerts.delivered_at IS 'When it was delivered (UTC).';
COMMENT ON COLUMN alerts.message_ts IS 'Id that Slack gave the message.';
COMMENT ON COLUMN alerts.error IS 'What the last failed attempt said.';

CREATE TABLE deliveries (
    alert_id     VARCHAR NOT NULL,
    attempted_at TIMESTAMPTZ NOT NULL,
    state        VARCHAR NOT NULL,
    message_ts   VARCHAR,
    error        VARCHAR
);
COMMENT ON TABLE deliveries IS 'One row per recorded step of sending an alert.';
COMMENT ON COLUMN deliveries.alert_id IS 'Alert that was sent.';
COMMENT ON COLUMN deliveries.attempted_at IS 'When the attempt was made (UTC).';
COMMENT ON COLUMN deliveries.state IS 'State of the alert after this step.';
COMMENT ON COLUMN deliveries.message_ts IS 'Id that Slack gave the message.';
COMMENT ON COLUMN deliveries.error IS 'What was answered, if it failed.';
