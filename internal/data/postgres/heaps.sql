-- Where the rows of tables are: of a partitioned one in the leaves below it, however deep; of any other in itself.
WITH RECURSIVE below AS (
    SELECT c.oid AS root, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid JOIN pg_class c ON c.oid = i.inhrelid
    WHERE c.relispartition
)
SELECT b.root, b.oid, n.nspname, c.relname, c.relkind::text,
       -- rows, as the planner guesses them: as dense as when they were counted last, in as many blocks as there are now
       CASE WHEN c.relkind = 'r' AND c.reltuples > 0 AND c.relpages > 0
            THEN (c.reltuples::float8 / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::bigint))::bigint
            ELSE c.reltuples::bigint END,
       -- a table's blocks, for which the setting has bytes of its own; what it takes with what is stored beside it; and all with indexes
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint ELSE 0 END,
       CASE WHEN c.relkind = 'r' THEN pg_table_size(c.oid) ELSE 0 END,
       CASE WHEN c.relkind = 'r' THEN pg_total_relation_size(c.oid) ELSE 0 END,
       -- the columns that a partitioned one is divided by; 0 stands for an expression
       ARRAY(SELECT coalesce((SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = k AND k > 0), '')
             FROM pg_partitioned_table p, unnest(p.partattrs::int2[]) AS k WHERE p.partrelid = b.oid)
FROM below b JOIN pg_class c ON c.oid = b.oid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY b.root, b.oid
