-- Where texts stand in the schema itself, and the SQL that they stand in. search_path is empty when this runs.
WITH
spaces AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
members AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT CASE p.prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END || p.oid::regprocedure, pg_get_functiondef(p.oid)
FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
WHERE p.prokind <> 'a' AND (1255, p.oid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT 'default of ' || d.adrelid::regclass || '.' || quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid)
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
JOIN pg_class c ON c.oid = d.adrelid JOIN spaces s ON s.oid = c.relnamespace
WHERE (1259, c.oid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT 'constraint ' || quote_ident(k.conname) || ' of ' || CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE k.contypid::regtype::text END,
       pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN spaces s ON s.oid = k.connamespace
WHERE k.contype IN ('c', 'x') AND (1259, k.conrelid) NOT IN (SELECT classid::int, objid FROM members)
  AND (1247, k.contypid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT 'default of ' || t.oid::regtype, t.typdefault
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
WHERE t.typtype = 'd' AND t.typdefault IS NOT NULL AND (1247, t.oid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'materialized view ' END || c.oid::regclass, pg_get_viewdef(c.oid)
FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND (1259, c.oid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT 'index ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN spaces s ON s.oid = c.relnamespace
WHERE (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) AND (1259, c.oid) NOT IN (SELECT classid::int, objid FROM members)
UNION ALL
SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || t.tgrelid::regclass, pg_get_triggerdef(t.oid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN spaces s ON s.oid = c.relnamespace
WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule ' || quote_ident(w.rulename) || ' of ' || w.ev_class::regclass, pg_get_ruledef(w.oid)
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN spaces s ON s.oid = c.relnamespace
WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT 'policy ' || quote_ident(p.polname) || ' of ' || p.polrelid::regclass,
       concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN spaces s ON s.oid = c.relnamespace
