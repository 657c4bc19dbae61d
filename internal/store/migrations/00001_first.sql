-- Times are nanoseconds since 1970, 0 for none. What only grows says so in a trigger, because history that can be edited
-- is no history.

-- +goose Up
CREATE TABLE apps (
    name          TEXT PRIMARY KEY,
    repository    TEXT NOT NULL,
    policy        TEXT NOT NULL,
    policy_digest TEXT NOT NULL,
    registered    INTEGER NOT NULL
) STRICT;

CREATE TABLE environments (
    app          TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    live         TEXT NOT NULL,
    previous     TEXT NOT NULL,
    since        INTEGER NOT NULL,
    schema       TEXT NOT NULL,
    schema_state TEXT NOT NULL,
    want         TEXT NOT NULL,
    PRIMARY KEY (app, name)
) STRICT;

CREATE TABLE releases (
    digest   TEXT PRIMARY KEY,
    app      TEXT NOT NULL,
    document TEXT NOT NULL,
    build    INTEGER NOT NULL -- the newest of its builds
) STRICT;
CREATE INDEX releases_by_build ON releases (app, build);
CREATE INDEX releases_by_digest ON releases (app, digest);

-- The same inputs give the same release, so one release may have been built from several commits.
CREATE TABLE builds (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    app       TEXT NOT NULL,
    release   TEXT NOT NULL REFERENCES releases (digest) DEFERRABLE INITIALLY DEFERRED,
    revision  TEXT NOT NULL,
    ref       TEXT NOT NULL,
    dirty     INTEGER NOT NULL,
    built     INTEGER NOT NULL,
    built_by  TEXT NOT NULL
) STRICT;
CREATE INDEX builds_by_revision ON builds (app, revision);
CREATE INDEX builds_by_ref ON builds (app, ref);

CREATE TABLE statements (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    app     TEXT NOT NULL,
    release TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX statements_by_release ON statements (app, release);

CREATE TABLE reports (
    run     TEXT PRIMARY KEY,
    app     TEXT NOT NULL,
    release TEXT NOT NULL,
    body    TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX reports_by_release ON reports (app, release);

CREATE TABLE known_bad (
    app     TEXT NOT NULL,
    release TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (app, release)
) STRICT;

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    release     TEXT NOT NULL,
    phase       TEXT NOT NULL CHECK (phase IN ('queued', 'running', 'ended')),
    plan        TEXT NOT NULL,
    actor       TEXT NOT NULL,
    outcome     TEXT NOT NULL DEFAULT '',
    reason      TEXT NOT NULL DEFAULT '',
    hint        TEXT NOT NULL DEFAULT '',
    created     INTEGER NOT NULL,
    started     INTEGER NOT NULL DEFAULT 0,
    ended       INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Ownership: at most one run is under way in an environment.
CREATE UNIQUE INDEX runs_owner ON runs (app, environment) WHERE phase = 'running';
-- Runs that have not ended are few among many; each order in which they are asked for has its index.
CREATE INDEX runs_open ON runs (id) WHERE phase <> 'ended';
CREATE INDEX runs_open_by_environment ON runs (app, environment, id) WHERE phase <> 'ended';
CREATE INDEX runs_by_app ON runs (app, id);

CREATE TABLE journal (
    run    INTEGER NOT NULL REFERENCES runs (id),
    seq    INTEGER NOT NULL,
    step   TEXT NOT NULL,
    state  TEXT NOT NULL,
    error  TEXT NOT NULL,
    hint   TEXT NOT NULL,
    result TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    run     INTEGER NOT NULL REFERENCES runs (id),
    step    TEXT NOT NULL,
    state   TEXT NOT NULL,
    text    TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_run ON events (run, seq);

CREATE TABLE numbers (
    key    TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE secrets (
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    name        TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (app, environment, name)
) STRICT;

-- The log of all changes. The hash that links an entry to the one before it will be a column here, filled where the
-- entry is written (audit.go).
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    subject     TEXT NOT NULL,
    run         TEXT NOT NULL,
    because     TEXT NOT NULL,
    detail      TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_environment ON audit (app, environment, seq);

-- +goose StatementBegin
CREATE TRIGGER audit_grows_update BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_grows_delete BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_grows_update BEFORE UPDATE ON journal BEGIN SELECT RAISE (ABORT, 'the journal only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER journal_grows_delete BEFORE DELETE ON journal BEGIN SELECT RAISE (ABORT, 'the journal only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER statements_grow_update BEFORE UPDATE ON statements BEGIN SELECT RAISE (ABORT, 'evidence only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER statements_grow_delete BEFORE DELETE ON statements BEGIN SELECT RAISE (ABORT, 'evidence only grows'); END;
-- +goose StatementEnd
