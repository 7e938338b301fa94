-- Every column of every view says what it means; those of newer views say so where they are made.

COMMENT ON COLUMN unscored_articles.article_id IS 'Id of the article.';
COMMENT ON COLUMN unscored_articles.reason IS 'Why: language (the encoder does not cover the language of the article).';
COMMENT ON COLUMN unscored_articles.language IS 'Language of headline and summary, ISO 639-1.';
COMMENT ON COLUMN unscored_articles.encoder_revision IS 'Revision of the encoder that could not judge it, the last one.';
COMMENT ON COLUMN unscored_articles.marked_at IS 'When it was marked (UTC).';
COMMENT ON COLUMN unscored_articles.title IS 'Headline as first seen.';
COMMENT ON COLUMN unscored_articles.outlet IS 'Publisher, as shown to people.';
COMMENT ON COLUMN unscored_articles.url IS 'Address of the article.';
COMMENT ON COLUMN unscored_articles.published_at IS 'Publication time as claimed (UTC).';
COMMENT ON COLUMN unscored_articles.first_seen_at IS 'When we first saw the article (UTC).';

COMMENT ON COLUMN stories.story_id IS 'Story: the id of the article that it began with.';
COMMENT ON COLUMN stories.title IS 'Headline of that article.';
COMMENT ON COLUMN stories.url IS 'Its address.';
COMMENT ON COLUMN stories.outlet IS 'Its publisher.';
COMMENT ON COLUMN stories.first_seen_at IS 'When we first saw an article of the story (UTC).';
COMMENT ON COLUMN stories.last_seen_at IS 'When the last one so far was first seen (UTC).';
COMMENT ON COLUMN stories.articles IS 'Articles of the story.';
COMMENT ON COLUMN stories.outlets IS 'Distinct outlets of the story.';

COMMENT ON COLUMN top_stories.day IS 'Day (UTC), by the first_seen_at of the articles that matched.';
COMMENT ON COLUMN top_stories.topic IS 'Topic that they matched.';
COMMENT ON COLUMN top_stories.position IS 'Place among the stories of the day and topic, from 1.';
COMMENT ON COLUMN top_stories.story_id IS 'Story.';
COMMENT ON COLUMN top_stories.title IS 'Headline of its first article.';
COMMENT ON COLUMN top_stories.url IS 'Its address.';
COMMENT ON COLUMN top_stories.outlet IS 'Its publisher.';
COMMENT ON COLUMN top_stories.outlets IS 'Distinct outlets with a match on that day.';
COMMENT ON COLUMN top_stories.matches IS 'Articles with a match on that day.';
COMMENT ON COLUMN top_stories.score IS 'Highest score among them.';

COMMENT ON COLUMN feed_health.url IS 'URL of the feed; its identity.';
COMMENT ON COLUMN feed_health.title IS 'Title given by a person or a feed list.';
COMMENT ON COLUMN feed_health.outlet IS 'Publisher given by a person or a feed list.';
COMMENT ON COLUMN feed_health.folder IS 'Group the feed has in the feed list.';
COMMENT ON COLUMN feed_health.health IS 'new, ok, failing, never worked, or gone.';
COMMENT ON COLUMN feed_health.failures IS 'Failed polls since the last success.';
COMMENT ON COLUMN feed_health.last_outcome IS 'Outcome of the last fetch: new, not_modified or failed.';
COMMENT ON COLUMN feed_health.last_severity IS 'Of a failed last fetch: temporary, soft or hard.';
COMMENT ON COLUMN feed_health.last_status IS 'HTTP status of the last fetch; empty if no answer came.';
COMMENT ON COLUMN feed_health.last_reason IS 'Of a failed last fetch: the reason as a slug.';
COMMENT ON COLUMN feed_health.last_message IS 'Of a failed last fetch: the reason as a sentence.';
COMMENT ON COLUMN feed_health.polled_at IS 'When the feed was last polled, whatever came of it (UTC).';
COMMENT ON COLUMN feed_health.succeeded_at IS 'When a poll last succeeded (UTC).';
COMMENT ON COLUMN feed_health.next_poll_at IS 'When the feed is due again (UTC).';
COMMENT ON COLUMN feed_health.poll_interval IS 'Time between polls that fits the rhythm of the feed.';
COMMENT ON COLUMN feed_health.baseline_at IS 'When the first successful poll was stored; its articles alert nobody (UTC).';
COMMENT ON COLUMN feed_health.failing_since IS 'When the first failed poll since the last success was (UTC).';
COMMENT ON COLUMN feed_health.gone_at IS 'When the publisher first said that the feed is gone for good (UTC).';
COMMENT ON COLUMN feed_health.moved_to IS 'URL that is asked instead, after permanent redirects; empty if the feed has not moved.';
COMMENT ON COLUMN feed_health.distrust_304_at IS 'When the server was last caught saying not modified although there were new entries (UTC); it is fetched in full since.';
COMMENT ON COLUMN feed_health.last_new_at IS 'When the feed last had a new entry (UTC); after its first poll, the newest time that its entries claim.';
COMMENT ON COLUMN feed_health.usual_gap IS 'Usual time between polls that bring new entries; tells when silence is unusual.';

COMMENT ON COLUMN current_topics.position IS 'Place of the topic in the set, from 0.';
COMMENT ON COLUMN current_topics.topic IS 'Name of the topic.';
COMMENT ON COLUMN current_topics.version IS 'Version of the topic in this set.';
COMMENT ON COLUMN current_topics.threshold IS 'Lowest score that counts as a match.';
COMMENT ON COLUMN current_topics.definition IS 'The whole definition as JSON.';
COMMENT ON COLUMN current_topics.recorded_at IS 'When the set came into use (UTC).';

COMMENT ON COLUMN outbox.alert_id IS 'Id of the alert; it travels with the message, so that it is never sent twice.';
COMMENT ON COLUMN outbox.channel IS 'Slack channel, or console.';
COMMENT ON COLUMN outbox.topic IS 'Leading topic: the one with the highest score.';
COMMENT ON COLUMN outbox.topics IS 'All matched topics, highest score first.';
COMMENT ON COLUMN outbox.score IS 'Calibrated probability, 0 to 1.';
COMMENT ON COLUMN outbox.title IS 'Headline as first seen.';
COMMENT ON COLUMN outbox.url IS 'Address of the article.';
COMMENT ON COLUMN outbox.outlet IS 'Publisher that was named.';
COMMENT ON COLUMN outbox.article_id IS 'Article that the alert is about.';
COMMENT ON COLUMN outbox.decided_at IS 'When it was decided (UTC).';
COMMENT ON COLUMN outbox.state IS 'pending, sending, delivered or failed.';
COMMENT ON COLUMN outbox.attempts IS 'Attempts to send it so far.';
COMMENT ON COLUMN outbox.retry_at IS 'Not to be tried again before (UTC); a failed alert without it is given up.';
COMMENT ON COLUMN outbox.error IS 'What the last failed attempt said.';
