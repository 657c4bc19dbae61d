-- What was, is asked for by what a run did, however many there are: who left a release, and who made a schema. A plan or a
-- result that is no JSON is nobody's, and keeps nobody from opening the store. history.go asks in the same words.

-- +goose Up
CREATE INDEX runs_leaving ON runs (app, environment, CASE WHEN json_valid(plan) THEN json_extract(plan, '$.from') END, id)
    WHERE outcome = 'succeeded';
CREATE INDEX journal_schemas ON journal (
    CASE WHEN json_valid(result) THEN json_extract(result, '$.after') END,
    CASE WHEN json_valid(result) THEN json_extract(result, '$.before') <> json_extract(result, '$.after') END,
    run
) WHERE step = 'migrate' AND state = 'done';
