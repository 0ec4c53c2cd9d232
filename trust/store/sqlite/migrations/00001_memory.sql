-- Digests and names are TEXT, times BIGINT microseconds since 1970, documents JSON as TEXT: one text for every database.

-- +goose Up
CREATE TABLE inspections (
	blob     TEXT   NOT NULL,
	question TEXT   NOT NULL,
	body     TEXT   NOT NULL,
	touched  BIGINT NOT NULL,
	PRIMARY KEY (blob, question)
);
CREATE INDEX inspections_touched ON inspections (touched);

CREATE TABLE verdicts (
	id       TEXT   NOT NULL PRIMARY KEY,
	name     TEXT   NOT NULL,
	manifest TEXT   NOT NULL,
	action   TEXT   NOT NULL,
	judged   BIGINT NOT NULL,
	body     TEXT   NOT NULL,
	touched  BIGINT NOT NULL
);
CREATE INDEX verdicts_name ON verdicts (name, judged);
CREATE INDEX verdicts_touched ON verdicts (touched);

-- Which verdict answers a question that was asked before. One that may change by itself answers none.
CREATE TABLE answers (
	question TEXT NOT NULL PRIMARY KEY,
	verdict  TEXT NOT NULL
);
CREATE INDEX answers_verdict ON answers (verdict);

-- Which manifests that were judged under a name reference a blob.
CREATE TABLE blob_references (
	name     TEXT NOT NULL,
	blob     TEXT NOT NULL,
	manifest TEXT NOT NULL,
	PRIMARY KEY (name, blob, manifest)
);
CREATE INDEX blob_references_manifest ON blob_references (name, manifest);

-- +goose Down
DROP TABLE blob_references;
DROP TABLE answers;
DROP TABLE verdicts;
DROP TABLE inspections;
