-- What the types of columns are made of: a domain's base, an array's elements, an enumeration's labels.
SELECT t.oid, n.nspname || '.' || t.typname, t.typtype::text, t.typcategory::text, t.typbasetype, t.typtypmod, t.typelem,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
