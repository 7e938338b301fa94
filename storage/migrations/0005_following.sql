-- The feeds that a person follows. What is remembered of a feed between polls stays in `feeds`.

CREATE TABLE following (
    url           VARCHAR NOT NULL,
    position      INTEGER NOT NULL,
    followed_at   TIMESTAMPTZ NOT NULL,
    unfollowed_at TIMESTAMPTZ
);
COMMENT ON TABLE following IS 'One row per feed ever followed: added by a person, so that every run polls it.';
COMMENT ON COLUMN following.url IS 'URL of the feed, as in feeds; may hold a user and password.';
COMMENT ON COLUMN following.position IS 'Place in the list: feeds followed later have higher numbers.';
COMMENT ON COLUMN following.followed_at IS 'When it was added last (UTC).';
COMMENT ON COLUMN following.unfollowed_at IS 'When it was removed (UTC); empty while it is followed.';
