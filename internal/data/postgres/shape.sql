-- The tables of a database with their columns, each column a row; a table without columns has one row without. Only the
-- catalogue is read: no table, and no statistics.
--
-- A partitioned table stands for all that is below it: its partitions are not in here.
WITH
members AS (  -- what came with an extension comes anew with it
    SELECT objid FROM pg_depend WHERE deptype = 'e' AND classid = 1259  -- pg_class
),
tables AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND c.oid NOT IN (SELECT objid FROM members)
)
SELECT t.oid, t.nspname, t.relname, t.relkind,
       a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnotnull,
       coalesce(a.attgenerated <> '', false),
       -- unique alone: by an index that is whole, of this column and not of an expression
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid
                 AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL),
       -- unique in part: with others, where a condition holds, or what is computed of it
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique
                 AND (i.indnkeyatts > 1 OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
                 AND (a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                      OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = i.indexrelid  -- pg_class
                                   AND d.refclassid = 1259 AND d.refobjid = t.oid AND d.refobjsubid = a.attnum))),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary
                 AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
       f.nspname, f.relname, f.attname
FROM tables t
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN LATERAL (
    SELECT n.nspname, c.relname, r.attname
    FROM pg_constraint k
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS pair(here, there)
    JOIN pg_class c ON c.oid = k.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute r ON r.attrelid = k.confrelid AND r.attnum = pair.there
    WHERE k.contype = 'f' AND k.conrelid = t.oid AND pair.here = a.attnum AND k.conparentid = 0
    ORDER BY cardinality(k.conkey), k.conname LIMIT 1
) f ON true
ORDER BY t.oid, a.attnum
