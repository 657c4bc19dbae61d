-- The log becomes a chain: each entry is linked to the one before and signed. The entries that are there wait in
-- audit_unsigned for the next migration, which is a program (migrate.go), because SQL can't sign.
--
-- Statements were kept unsigned until now. Nobody can tell who made them, so they don't count, and go: what was rehearsed
-- before is to be rehearsed again.

-- +goose Up
DROP TABLE statements;

DROP TRIGGER audit_grows_update;
DROP TRIGGER audit_grows_delete;
DROP INDEX audit_by_environment;
ALTER TABLE audit RENAME TO audit_unsigned;

CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    subject     TEXT NOT NULL,
    run         TEXT NOT NULL,
    because     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    previous    BLOB NOT NULL,
    hash        BLOB NOT NULL,
    key         TEXT NOT NULL,
    signature   BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_app ON audit (app, seq);
CREATE INDEX audit_by_environment ON audit (app, environment, seq);
-- Readers of these actions take what the log says for the truth, and look at nothing else in it.
CREATE INDEX audit_evidence ON audit (app, subject, seq) WHERE action = 'evidence';
CREATE INDEX audit_standings ON audit (app, environment, seq) WHERE action = 'standing';
CREATE INDEX audit_keys ON audit (seq) WHERE action IN ('key enrolled', 'key revoked', 'key rotated');

-- Envelopes, each under the number of the log's entry that records it. An envelope without an entry does not exist.
CREATE TABLE evidence (
    seq       INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    envelope  BLOB NOT NULL,
    statement TEXT NOT NULL, -- the id of a statement that was sealed here, else ''
    content   TEXT NOT NULL  -- its digest, else ''
) STRICT;
CREATE UNIQUE INDEX evidence_by_statement ON evidence (statement) WHERE statement <> '';

-- The newest that was taken for each environment, under the number of the log's entry that records it.
CREATE TABLE standings (
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    signer      TEXT NOT NULL,
    log         INTEGER NOT NULL, -- the length of the signer's log when it was made
    envelope    BLOB NOT NULL,
    PRIMARY KEY (app, environment)
) STRICT;

CREATE TABLE collections (
    app      TEXT NOT NULL,
    release  TEXT NOT NULL,
    signer   TEXT NOT NULL,
    log      INTEGER NOT NULL, -- as in standings
    envelope BLOB NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (app, release, signer)
) STRICT;

-- A release that is kept looks for the builds that wait for it; without this it looked at all of them.
CREATE INDEX builds_by_release ON builds (release);

-- Times when a gate's no was overridden.
CREATE TABLE glass (
    run         TEXT PRIMARY KEY,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    broken_by   TEXT NOT NULL,
    because     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    overridden  TEXT NOT NULL,
    reviewed_by TEXT NOT NULL DEFAULT '',
    review      TEXT NOT NULL DEFAULT '',
    reviewed    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX glass_open ON glass (app, environment, at) WHERE reviewed = 0;

-- +goose StatementBegin
CREATE TRIGGER audit_grows_update BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_grows_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_grows_update BEFORE UPDATE ON evidence BEGIN SELECT RAISE (ABORT, 'evidence only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER evidence_grows_delete BEFORE DELETE ON evidence BEGIN SELECT RAISE (ABORT, 'evidence only grows'); END;
-- +goose StatementEnd
