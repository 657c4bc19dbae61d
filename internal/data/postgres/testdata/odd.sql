CREATE EXTENSION pg_trgm;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION postgres_fdw;

CREATE SCHEMA "Sales, ""north""";
CREATE SCHEMA "a.b";
CREATE TYPE mood AS ENUM ('fine', 'it''s \ "odd"', 'tab	and
line');
CREATE TYPE pair AS (a text, b integer);
CREATE DOMAIN short AS varchar(12) CHECK (VALUE <> '');
CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 12);
CREATE TYPE span AS RANGE (subtype = integer);

CREATE TABLE empty (id integer PRIMARY KEY, note text);
CREATE TABLE "no columns" ();
INSERT INTO "no columns" SELECT FROM generate_series(1, 7);
CREATE TABLE generated_only (n integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO generated_only SELECT FROM generate_series(1, 3);

CREATE TABLE "Sales, ""north"""."Kunden; DROP" ("Näme ""x"" \ 'y'" text PRIMARY KEY, "select" integer, "tab	column" text, "line
column" text UNIQUE);
INSERT INTO "Sales, ""north"""."Kunden; DROP" VALUES ('Ünï "q" ''s'' \', 1, E'a\tb', E'a\nb'), (E'\\N', 2, E'\\.', NULL), ('日本 🎉', 3, '', E'\r\n');
CREATE TABLE "a.b"."c.d" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text);
INSERT INTO "a.b"."c.d" (x) VALUES ('one'), ('two');
CREATE TABLE "a.b.c.d" (id serial, y text);
INSERT INTO "a.b.c.d" (y) VALUES ('public');

CREATE TABLE texts (id integer, t text);
INSERT INTO texts VALUES (1, NULL), (2, ''), (3, E'\\N'), (4, E'\\\\N'), (5, E'\\'), (6, E'\b\f\n\r\t\v'), (7, E'\\.'), (8, E'\n\\.\n'),
	(9, E'\\x41'), (10, E'\\101'), (11, 'NULL'), (12, repeat(E'\\', 1000)), (13, E'\u0001\u007f'), (14, repeat(E'\t\n', 100000)), (15, 'ends with \');

CREATE TABLE kinds (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(), b boolean, i2 smallint, i8 bigint, n numeric, n2 numeric(10, 2), f4 real, f8 double precision, m money,
	c char(5), c1 "char", vc varchar(10), nm name, ci citext, d date, ts timestamp, tz timestamptz(3), ti time, tt timetz, iv interval,
	j json, jb jsonb, x xml, by bytea, a integer[], a2 text[][], e mood, ea mood[], p pair, pa pair[], do_ shorter, r int4range, mr int4multirange, s span,
	ip inet, net cidr, mac macaddr, h hstore, bits bit(5), vb bit varying, pt point, bx box, ts1 tsvector, tq tsquery, rc regclass, o oid,
	twice integer GENERATED ALWAYS AS (i2 * 2) STORED);
INSERT INTO kinds (b, i2, i8, n, n2, f4, f8, m, c, c1, vc, nm, ci, d, ts, tz, ti, tt, iv, j, jb, x, by, a, a2, e, ea, p, pa, do_, r, mr, s, ip, net, mac, h, bits, vb, pt, bx, ts1, tq, rc, o) VALUES
	(true, -5, 9223372036854775807, 1e400, 1.50, 1.1, 0.1 + 0.2, 1234.56, 'ab', 'x', 'a b', 'nm', 'CaSe', '4713-01-01 BC', 'infinity', '2024-02-29 12:00:00.123+05:30', '24:00', '12:00+03', '-1 year 2 mons 3 days -04:05:06.7',
	 '{"a" : 1, "a": [1,  2]}', '{"b": "\u00e4 \\ \" \n", "a": null}', '<a b="c">&lt;</a>', '\x00ff5c0a', '[0:1]={1,NULL}', '{{a,"b,c"},{"\"","\\"}}', 'tab	and
line', '{fine,NULL}', ROW(E'x, "y" \\', NULL), ARRAY[ROW('a', 1)::pair, NULL], 'short', '[1,5)', '{[1,3),[5,6)}', '(1,9]', '::1/128', '10.0.0.0/8', '08:00:2b:01:02:03',
	 'a=>NULL, "b \\ =>"=>"x"', B'10101', B'', '(1.5,NaN)', '(1,2),(3,4)', 'a:1A b', 'a & !b', 'texts', 42);
INSERT INTO kinds (n, f4, f8, d, tz, a, by, j) VALUES ('NaN', 'NaN', '-infinity', 'infinity', '-infinity', '{}', '', 'null');

CREATE TABLE defaults (id integer DEFAULT 7, note text DEFAULT 'it''s', at timestamptz DEFAULT now(), mood mood DEFAULT 'fine');
INSERT INTO defaults (id) SELECT g FROM generate_series(1, 100) g;

-- columns that are gone, and in another order in a child
CREATE TABLE parent (gone integer, id integer, note text);
ALTER TABLE parent DROP gone;
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 'more');

CREATE TABLE events (id bigint, at date NOT NULL, region text, note text, PRIMARY KEY (id, at, region)) PARTITION BY RANGE (at);
CREATE TABLE events_2023 PARTITION OF events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') PARTITION BY LIST (region);
CREATE TABLE events_2023_eu PARTITION OF events_2023 FOR VALUES IN ('eu');
CREATE TABLE "Events 2023 other" PARTITION OF events_2023 DEFAULT;
CREATE TABLE events_2024 (note text, gone integer, region text NOT NULL, at date NOT NULL, id bigint NOT NULL);
ALTER TABLE events_2024 DROP gone;
ALTER TABLE events ATTACH PARTITION events_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX events_note ON events (note);
INSERT INTO events SELECT g, '2023-06-01'::date + g % 400, CASE g % 3 WHEN 0 THEN 'eu' ELSE 'us' END, 'note ' || g FROM generate_series(1, 1000) g;
CREATE TABLE no_partitions (id integer, at date) PARTITION BY RANGE (at);

CREATE TABLE reading (event bigint, at date, region text, value real, FOREIGN KEY (event, at, region) REFERENCES events);
INSERT INTO reading SELECT id, at, region, id FROM events LIMIT 100;
CREATE TABLE a_to_b (id integer PRIMARY KEY, b integer UNIQUE);
CREATE TABLE b_to_a (id integer PRIMARY KEY REFERENCES a_to_b (b) DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE a_to_b ADD CONSTRAINT "circle; of ""two""" FOREIGN KEY (b) REFERENCES b_to_a DEFERRABLE INITIALLY DEFERRED;
WITH a AS (INSERT INTO a_to_b SELECT g, g FROM generate_series(1, 50) g) INSERT INTO b_to_a SELECT g FROM generate_series(1, 50) g;
CREATE TABLE tree (id integer PRIMARY KEY, up integer REFERENCES tree);
INSERT INTO tree SELECT g, nullif(g / 2, 0) FROM generate_series(1, 500) g;
ALTER TABLE tree CLUSTER ON tree_pkey;
CREATE TABLE unchecked (id integer, up integer);
INSERT INTO unchecked VALUES (1, 999);
ALTER TABLE unchecked ADD CONSTRAINT dangling FOREIGN KEY (up) REFERENCES tree NOT VALID;
ALTER TABLE unchecked ADD CONSTRAINT later CHECK (up < 10) NOT VALID;

CREATE UNLOGGED TABLE passing (id integer PRIMARY KEY, note text);
INSERT INTO passing VALUES (1, 'unlogged');
CREATE TABLE booked (room integer, during int4range, EXCLUDE USING gist (during WITH &&));
INSERT INTO booked VALUES (1, '[1,2)'), (1, '[2,3)');
CREATE INDEX "odd index" ON texts ((lower(t)) COLLATE "C") WHERE t <> 'x;y' AND length(t) < 1000;
CREATE INDEX kinds_trgm ON kinds USING gin (vc gin_trgm_ops);
CREATE UNIQUE INDEX one_true ON kinds (b) WHERE b;
CREATE STATISTICS both_columns ON id, up FROM tree;
ALTER TABLE tree REPLICA IDENTITY FULL;

CREATE SEQUENCE "Odd ""sequence""" INCREMENT -3 MINVALUE -1000 MAXVALUE 10 START 5;
SELECT nextval('"Odd ""sequence"""'), nextval('"Odd ""sequence"""');
CREATE SEQUENCE untouched START 17;
CREATE SEQUENCE placed;
SELECT setval('placed', 40, false);

CREATE FUNCTION notify_all() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN PERFORM 'a; b'; -- it's a comment; really
	RETURN NEW; END $body$;
CREATE FUNCTION atomic(x integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC; SELECT CASE WHEN x > 1 THEN 1 ELSE 2 END; SELECT x; END;
CREATE PROCEDURE proceed() LANGUAGE sql AS 'SELECT 1; SELECT '';''';
CREATE FUNCTION grouped() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC; SELECT "Näme ""x"" \ 'y'" || "select" FROM "Sales, ""north"""."Kunden; DROP" GROUP BY "Näme ""x"" \ 'y'"; END;
CREATE TRIGGER stop BEFORE INSERT ON texts FOR EACH ROW WHEN (NEW.t = ';') EXECUTE FUNCTION notify_all();
CREATE TRIGGER off BEFORE INSERT ON empty FOR EACH ROW EXECUTE FUNCTION notify_all();
ALTER TABLE empty DISABLE TRIGGER off;
CREATE RULE several AS ON DELETE TO empty DO ALSO (DELETE FROM passing; INSERT INTO texts VALUES (99, 'a;b'));
CREATE VIEW seen AS SELECT id, t || ';' AS t FROM texts WHERE t <> E'\n';
CREATE MATERIALIZED VIEW z_first AS SELECT count(*) AS n FROM events;
CREATE MATERIALIZED VIEW a_second AS SELECT n + 1 AS n FROM z_first;
CREATE UNIQUE INDEX ON a_second (n);
CREATE MATERIALIZED VIEW never AS SELECT 1 AS n WITH NO DATA;
DROP MATERIALIZED VIEW never;
CREATE FUNCTION watching() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no change''; END';

ALTER TABLE passing ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON passing USING (note = 'nobody');
CREATE PUBLICATION everything FOR TABLE tree, events;
COMMENT ON TABLE tree IS 'a comment stays behind';
CREATE AGGREGATE product(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1');
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq);
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'production.example.com', dbname 'other');
CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (user 'secret_user', password 'secret_password');
CREATE FOREIGN TABLE remote (id integer, secret text) SERVER elsewhere;
CREATE EVENT TRIGGER observer ON ddl_command_end WHEN TAG IN ('REFRESH MATERIALIZED VIEW', 'CREATE TABLE') EXECUTE FUNCTION watching()
