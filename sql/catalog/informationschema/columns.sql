-- The columns of PostgreSQL 15's information_schema, as facts for columns.tsv:
-- psql -X -A -t -F $'\t' -f columns.sql > columns.tsv
SELECT c.oid, c.relname, c.relkind, a.attname, b.typname, CASE WHEN a.attnotnull THEN 't' ELSE 'f' END
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE c.relnamespace = 'information_schema'::regnamespace AND c.relkind = 'v' AND a.attnum > 0
    AND c.relname IN ('information_schema_catalog_name', 'schemata', 'tables', 'columns', 'views', 'sequences', 'table_constraints', 'key_column_usage',
        'constraint_column_usage', 'constraint_table_usage', 'referential_constraints', 'check_constraints', 'routines', 'parameters', 'triggers', 'domains',
        'element_types', 'character_sets', 'collations', 'enabled_roles', 'applicable_roles', 'table_privileges', 'column_privileges', 'role_table_grants')
ORDER BY c.oid, a.attnum;
