-- +goose Up
-- What is remembered of publishers and tags, as whoever wrote it understands it.
CREATE TABLE notes (
	name    TEXT   NOT NULL PRIMARY KEY,
	body    TEXT   NOT NULL,
	touched BIGINT NOT NULL
);
CREATE INDEX notes_touched ON notes (touched);

-- +goose Down
DROP TABLE notes;
