-- What an article says beyond its feed's summary, and in which language.

ALTER TABLE articles ADD COLUMN language VARCHAR;
ALTER TABLE articles ADD COLUMN full_text VARCHAR;
COMMENT ON COLUMN articles.language IS 'Language of headline and summary, ISO 639-1; empty if they are too short to tell.';
COMMENT ON COLUMN articles.full_text IS
    'Text of the article page, plain, at most 20,000 characters; empty unless full text was asked for and could be had.';
