-- Verdicts are gone through by their time, and what images share is found by its value.

-- +goose Up
CREATE INDEX verdicts_judged ON verdicts (judged);

-- Wallets, files, pools and publishers of images, with the newest outcome for each image.
CREATE TABLE edges (
	kind     TEXT   NOT NULL,
	value    TEXT   NOT NULL,
	name     TEXT   NOT NULL,
	manifest TEXT   NOT NULL,
	verdict  TEXT   NOT NULL,
	action   TEXT   NOT NULL,
	vouched  BIGINT NOT NULL,
	judged   BIGINT NOT NULL,
	PRIMARY KEY (kind, value, name, manifest)
);
CREATE INDEX edges_judged ON edges (action, judged);

-- +goose Down
DROP TABLE edges;
DROP INDEX verdicts_judged;
