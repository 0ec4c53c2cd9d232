-- Whose image an edge is of, and when it last mattered: edges are bounded by publisher, by value, in all, and by age.

-- +goose Up
ALTER TABLE edges ADD COLUMN publisher TEXT NOT NULL DEFAULT '';
ALTER TABLE edges ADD COLUMN touched BIGINT NOT NULL DEFAULT 0;
UPDATE edges SET touched = judged, publisher = rtrim(rtrim(name, replace(name, '/', '')), '/');
CREATE INDEX edges_publisher ON edges (publisher);
CREATE INDEX edges_touched ON edges (touched);

-- +goose Down
DROP INDEX edges_touched;
DROP INDEX edges_publisher;
ALTER TABLE edges DROP COLUMN touched;
ALTER TABLE edges DROP COLUMN publisher;
