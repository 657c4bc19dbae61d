-- What was told of a run goes when enough others have ended after it; the run itself, its report and the log stay. What its
-- steps returned is still asked for (history.go), so that stays too. Of a run that goes on nothing is ever removed.

-- +goose Up
ALTER TABLE runs ADD COLUMN swept INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_unswept ON runs (app, id) WHERE phase = 'ended' AND swept = 0;

DROP TRIGGER journal_grows_delete;
-- +goose StatementBegin
CREATE TRIGGER journal_grows_delete BEFORE DELETE ON journal
    WHEN coalesce((SELECT phase FROM runs WHERE id = OLD.run), '') <> 'ended'
    BEGIN SELECT RAISE (ABORT, 'the journal of a run that has not ended only grows'); END;
-- +goose StatementEnd
