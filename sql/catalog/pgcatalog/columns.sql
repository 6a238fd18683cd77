-- The columns of PostgreSQL 15's system catalogs and views, as facts for
-- columns.tsv: psql -X -A -t -F $'\t' -f columns.sql > columns.tsv
SELECT c.oid, c.relname, c.relkind, a.attname, t.typname, CASE WHEN a.attnotnull THEN 't' ELSE 'f' END
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relname IN ('pg_class', 'pg_attribute', 'pg_type', 'pg_namespace', 'pg_index', 'pg_constraint', 'pg_attrdef', 'pg_database',
        'pg_authid', 'pg_auth_members', 'pg_roles', 'pg_user', 'pg_group', 'pg_shadow', 'pg_proc', 'pg_operator', 'pg_am', 'pg_description',
        'pg_shdescription', 'pg_depend', 'pg_shdepend', 'pg_sequence', 'pg_sequences', 'pg_views', 'pg_tables', 'pg_indexes',
        'pg_matviews', 'pg_settings', 'pg_stat_activity', 'pg_enum', 'pg_range', 'pg_collation', 'pg_inherits', 'pg_trigger',
        'pg_rewrite', 'pg_rules', 'pg_policy', 'pg_policies', 'pg_statistic_ext', 'pg_publication', 'pg_publication_rel',
        'pg_publication_namespace', 'pg_publication_tables', 'pg_subscription', 'pg_foreign_table', 'pg_foreign_server',
        'pg_foreign_data_wrapper', 'pg_user_mapping', 'pg_user_mappings', 'pg_extension', 'pg_available_extensions', 'pg_tablespace', 'pg_language',
        'pg_cast', 'pg_aggregate', 'pg_partitioned_table', 'pg_event_trigger', 'pg_timezone_names', 'pg_conversion', 'pg_ts_config',
        'pg_ts_dict', 'pg_ts_parser', 'pg_ts_template', 'pg_init_privs', 'pg_default_acl', 'pg_db_role_setting', 'pg_seclabel',
        'pg_seclabels', 'pg_shseclabel', 'pg_transform', 'pg_largeobject_metadata', 'pg_prepared_xacts', 'pg_replication_slots')
ORDER BY c.oid, a.attnum;
