-- The schema of a database as text: one row for each thing, the same words for the same thing. Nothing in it depends on
-- data, on object ids, on the order in which things were made, or on who owns them.
--
-- search_path is empty when this runs, so PostgreSQL's own pg_get_… functions qualify every name.
WITH
spaces AS (  -- the schemas that are the app's
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
members AS (  -- what came with an extension is that extension's affair
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
),
relations AS (
    SELECT c.*, format('%I.%I', s.nspname, c.relname) AS name
    FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE (1259, c.oid) NOT IN (SELECT classid::int, objid FROM members)  -- 1259 is pg_class
),
types AS (
    SELECT t.*, format('%I.%I', s.nspname, t.typname) AS name
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    WHERE (1247, t.oid) NOT IN (SELECT classid::int, objid FROM members)  -- pg_type
),
routines AS (
    SELECT p.*, format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    WHERE (1255, p.oid) NOT IN (SELECT classid::int, objid FROM members)  -- pg_proc
)

SELECT format('schema %I', nspname) AS entry
FROM spaces WHERE (2615, oid) NOT IN (SELECT classid::int, objid FROM members)  -- pg_namespace

UNION ALL
SELECT format('extension %I %s in %I', e.extname, e.extversion, n.nspname)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace

UNION ALL  -- tables, foreign tables, composite types
SELECT format('%s %s',
              CASE relkind WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END, name)
       || CASE relpersistence WHEN 'u' THEN ' unlogged' ELSE '' END
       || coalesce(' partition by ' || pg_get_partkeydef(oid), '')
       || coalesce(' partition ' || pg_get_expr(relpartbound, oid), '')
       || coalesce((SELECT ' inherits ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                    FROM pg_inherits WHERE inhrelid = relations.oid), '')
       || CASE WHEN relrowsecurity THEN ' row security' ELSE '' END
       || CASE WHEN relforcerowsecurity THEN ' forced' ELSE '' END
FROM relations WHERE relkind IN ('r', 'p', 'f', 'c')

UNION ALL  -- columns, without their position: see Describe
SELECT format('column %s.%I %s', r.name, a.attname, format_type(a.atttypid, a.atttypmod))
       || CASE WHEN a.attcollation <> t.typcollation
               THEN ' collate ' || a.attcollation::regcollation ELSE '' END
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || CASE a.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity by default' ELSE '' END
       || CASE a.attgenerated WHEN 's' THEN ' generated stored' WHEN 'v' THEN ' generated virtual' ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f', 'c')

UNION ALL  -- n is not null (a column's own word here), t a constraint trigger (a trigger)
SELECT format('constraint %s %I %s', coalesce(r.name, t.name), c.conname, pg_get_constraintdef(c.oid))
FROM pg_constraint c
LEFT JOIN relations r ON r.oid = c.conrelid
LEFT JOIN types t ON t.oid = c.contypid
WHERE c.contype NOT IN ('n', 't') AND coalesce(r.name, t.name) IS NOT NULL

UNION ALL  -- an index that could not be finished is there and doesn't work
SELECT format('index %s', pg_get_indexdef(i.indexrelid)) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END
FROM pg_index i JOIN relations r ON r.oid = i.indexrelid

UNION ALL
SELECT format('%s %s', CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, name)
       || coalesce(' with ' || array_to_string(reloptions, ', '), '') || ' as ' || pg_get_viewdef(oid)
FROM relations WHERE relkind IN ('v', 'm')

UNION ALL
SELECT format('sequence %s %s from %s by %s between %s and %s cache %s', r.name, s.seqtypid::regtype,
              s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache)
       || CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END
       || coalesce((SELECT format(' of %s.%I', d.refobjid::regclass, a.attname)
                    FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                    WHERE d.classid = 1259 AND d.objid = r.oid AND d.refclassid = 1259 AND d.deptype IN ('a', 'i')), '')
FROM pg_sequence s JOIN relations r ON r.oid = s.seqrelid

UNION ALL
SELECT format('function %s', pg_get_functiondef(oid)) FROM routines WHERE prokind <> 'a'

UNION ALL
SELECT format('aggregate %s on %s to %s, final %s, from %s', r.name, a.aggtransfn, a.aggtranstype::regtype, a.aggfinalfn,
              coalesce(a.agginitval, 'null'))
FROM routines r JOIN pg_aggregate a ON a.aggfnoid = r.oid

UNION ALL  -- O is enabled as usual
SELECT format('trigger %s', pg_get_triggerdef(t.oid)) || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' enabled ' || t.tgenabled::text END
FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal

UNION ALL
SELECT format('rule %s', pg_get_ruledef(w.oid)) || CASE w.ev_enabled WHEN 'O' THEN '' ELSE ' enabled ' || w.ev_enabled::text END
FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'

UNION ALL
SELECT format('policy %s %I for %s %s using %s check %s', r.name, p.polname, p.polcmd,
              CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
              coalesce(pg_get_expr(p.polqual, p.polrelid), 'none'), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'none'))
FROM pg_policy p JOIN relations r ON r.oid = p.polrelid

UNION ALL
SELECT format('enum %s (%s)', t.name, string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder))
FROM types t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.name

UNION ALL
SELECT format('domain %s %s', name, format_type(typbasetype, typtypmod)) || CASE WHEN typnotnull THEN ' not null' ELSE '' END
       || coalesce(' default ' || typdefault, '')
FROM types WHERE typtype = 'd'

UNION ALL
SELECT format('range %s of %s', t.name, r.rngsubtype::regtype) FROM types t JOIN pg_range r ON r.rngtypid = t.oid

UNION ALL
SELECT format('statistics %s', pg_get_statisticsobjdef(x.oid))
FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace

UNION ALL
SELECT format('event trigger %I on %s (%s) calls %s enabled %s', evtname, evtevent,
              array_to_string(evttags, ', '), evtfoid::regprocedure, evtenabled)
FROM pg_event_trigger WHERE (3466, oid) NOT IN (SELECT classid::int, objid FROM members)  -- pg_event_trigger

UNION ALL  -- the rarer kinds by their name alone; what is below 16384 came with PostgreSQL
SELECT format('%s %s', i.type, i.identity)
FROM (
    SELECT tableoid, oid FROM pg_collation UNION ALL
    SELECT tableoid, oid FROM pg_operator UNION ALL
    SELECT tableoid, oid FROM pg_opclass UNION ALL
    SELECT tableoid, oid FROM pg_cast UNION ALL
    SELECT tableoid, oid FROM pg_language UNION ALL
    SELECT tableoid, oid FROM pg_ts_config UNION ALL
    SELECT tableoid, oid FROM pg_ts_dict UNION ALL
    SELECT tableoid, oid FROM pg_foreign_server UNION ALL
    SELECT tableoid, oid FROM pg_publication
) AS o, pg_identify_object(o.tableoid, o.oid, 0) AS i
WHERE o.oid >= 16384 AND (o.tableoid::int, o.oid) NOT IN (SELECT classid::int, objid FROM members)
