CREATE TABLE o (id int PRIMARY KEY, cust int, amount numeric(10,2), status text, placed timestamptz DEFAULT '2024-01-01');
CREATE TABLE cst (id int PRIMARY KEY, name text UNIQUE, region varchar(10));
INSERT INTO cst SELECT i, 'c' || i, CASE i % 3 WHEN 0 THEN 'north' WHEN 1 THEN 'south' END FROM generate_series(1, 10) i;
INSERT INTO o SELECT i, i % 10 + 1, i * 1.5, (ARRAY['new', 'paid', 'sent'])[i % 3 + 1] FROM generate_series(1, 100) i;
CREATE INDEX ON o (cust);
CREATE INDEX ON o (status, amount);
SELECT c.region, count(*), sum(o.amount), round(avg(o.amount), 3), max(o.status) FROM o JOIN cst c ON c.id = o.cust GROUP BY c.region ORDER BY c.region NULLS FIRST;
SELECT c.name, (SELECT max(amount) FROM o WHERE o.cust = c.id) m, (SELECT count(*) FILTER (WHERE status = 'paid') FROM o WHERE o.cust = c.id) FROM cst c ORDER BY m DESC LIMIT 3;
SELECT * FROM o WHERE status = 'paid' AND amount > 100 ORDER BY amount DESC LIMIT 3;
SELECT * FROM o WHERE status = 'paid' AND amount > 100 ORDER BY amount LIMIT 3 OFFSET 2;
SELECT * FROM o WHERE cust IN (1, 2) AND id < 20 ORDER BY id;
SELECT * FROM o WHERE id IN (5, 3, 3, NULL, 99) ORDER BY id DESC;
SELECT * FROM o WHERE id = ANY (ARRAY[5, 3, 200]) ORDER BY 1;
SELECT * FROM o WHERE id BETWEEN 10 AND 12 OR id > 99 ORDER BY 1;
SELECT * FROM o WHERE (status, amount) > ('sent', 145) ORDER BY 1;
SELECT id FROM o WHERE status LIKE 's%' AND amount < 10 ORDER BY 1;
SELECT id FROM o WHERE status IS NULL;
SELECT id FROM o WHERE NOT (id > 3) ORDER BY id;
SELECT id FROM o WHERE id > 98 AND id < 98;
SELECT id FROM o WHERE id = 1.5;
SELECT id FROM o WHERE id = 2.0;
SELECT id FROM o WHERE id > '98';
SELECT id FROM o WHERE id < 9999999999 AND id >= 99.5;
SELECT id FROM o WHERE amount = 3 AND status = 'sent'::varchar;
SELECT min(id), max(id), min(amount), max(status) FROM o WHERE cust = 4;
SELECT count(*) FROM o WHERE cust = 4 OR status = 'new';
SELECT status, cust, count(*) FROM o GROUP BY GROUPING SETS ((status), (cust), ()) HAVING count(*) > 20 ORDER BY 1, 2;
SELECT a.id, b.id FROM o a, o b WHERE a.id = b.id + 1 AND a.cust = 3 AND b.amount < 50 ORDER BY 1;
SELECT a.id FROM o a WHERE NOT EXISTS (SELECT 1 FROM o b WHERE b.id > a.id);
SELECT a.id FROM o a WHERE a.amount >= ALL (SELECT amount FROM o b WHERE b.cust = a.cust) ORDER BY 1;
SELECT name FROM cst WHERE id NOT IN (SELECT cust FROM o WHERE status = 'new' AND amount < 30) ORDER BY 1;
SELECT c.name, x.id, x.rn FROM cst c CROSS JOIN LATERAL (SELECT id, row_number() OVER (ORDER BY amount DESC) rn FROM o WHERE o.cust = c.id LIMIT 1) x ORDER BY 1;
SELECT c.name, o.id FROM cst c LEFT JOIN o ON o.cust = c.id AND o.amount > 148 ORDER BY 1, 2;
SELECT c.name, o.id FROM o RIGHT JOIN cst c ON o.cust = c.id AND o.amount > 148 WHERE o.id IS NULL ORDER BY 1 LIMIT 2;
SELECT count(*) FROM o NATURAL JOIN cst;
SELECT count(*) FROM o FULL JOIN cst ON o.id = cst.id WHERE o.id IS NULL OR cst.id IS NULL;
SELECT (SELECT count(*) FROM cst WHERE cst.id = o.cust) + 1 AS x, count(*) FROM o GROUP BY 1;
SELECT sum(CASE WHEN status = 'paid' THEN amount ELSE 0 END) FROM o;
SELECT CASE WHEN id > 5 THEN 'big' WHEN id > 2 THEN 'mid' ELSE NULL END, id FROM cst ORDER BY id;
SELECT CASE id WHEN 1 THEN 'a' WHEN 'x' THEN 'b' END FROM cst;
SELECT CASE WHEN true THEN 1 ELSE 'x' END;
SELECT CASE WHEN true THEN 1 ELSE 2.5 END, CASE WHEN false THEN 1 END, CASE 1 WHEN 2 THEN 'a' ELSE 'b' END;
SELECT CASE WHEN 1 = 0 THEN 1 / 0 WHEN 1 = 1 THEN 1 ELSE 2 / 0 END;
SELECT COALESCE(NULL, 'x', 1);
SELECT NULLIF(1, 'x');
SELECT NULLIF('a', 'a'), NULLIF(1, 1.0), COALESCE(NULL, NULL), pg_typeof(COALESCE(1, 2.5));
SELECT status FROM o GROUP BY status HAVING sum(amount) > (SELECT avg(amount) FROM o) * 33 ORDER BY 1;
SELECT string_agg(name, ',' ORDER BY id DESC) FILTER (WHERE region = 'south') FROM cst;
SELECT date_trunc('month', placed) m, count(*) FROM o GROUP BY m;
SELECT o.*, c.* FROM o JOIN cst c ON c.id = o.cust WHERE o.id = 42;
SELECT o, c FROM o JOIN cst c ON c.id = o.cust WHERE o.id = 42;
SELECT count(DISTINCT (cust, status)) FROM o;
SELECT DISTINCT ON (cust) cust, id, amount FROM o ORDER BY cust, amount DESC LIMIT 3;
SELECT id, sum(amount) OVER (PARTITION BY cust ORDER BY id) FROM o WHERE cust < 3 ORDER BY cust, id LIMIT 5;
UPDATE o SET amount = amount * 2, status = upper(status) WHERE id <= 2 RETURNING id, amount, status;
DELETE FROM o USING cst c WHERE c.id = o.cust AND c.name = 'c2' AND o.id > 50 RETURNING o.id;
INSERT INTO o (id, cust) VALUES (2000, 5), (2001, 6) RETURNING *;
SELECT uuid 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid, 'a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11'::uuid, gen_random_uuid() <> gen_random_uuid();
SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1'::uuid;
SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid < 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', max('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid);
CREATE TABLE uu (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), v int);
\d uu
INSERT INTO uu VALUES ('11111111-1111-1111-1111-111111111111', 1), ('00000000-0000-0000-0000-000000000000', 2);
SELECT * FROM uu ORDER BY id;
SELECT * FROM uu WHERE id = '11111111111111111111111111111111';
SELECT 'o'::regclass, 'o'::regclass::oid = 'public.o'::regclass::oid, 'int4'::regtype, 'numeric(10,2)'::regtype, to_regclass('nosuch'), 'lower(text)'::regprocedure, 'now'::regproc, 'public'::regnamespace, 'postgres'::regrole;
SELECT 'nosuch'::regclass;
SELECT 'nosuch'::regtype;
SELECT format_type(1043, 14), format_type(1700, 655366), format_type(23, NULL), format_type(1007, -1), format_type(99999, -1);
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'o'::regclass ORDER BY 1;
SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'cst'::regclass ORDER BY 1;
SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef FROM pg_attribute WHERE attrelid = 'o'::regclass AND attnum > 0 ORDER BY attnum;
SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length, numeric_precision, numeric_scale, datetime_precision, udt_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3;
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1;
SELECT constraint_name, table_name, constraint_type FROM information_schema.table_constraints WHERE table_schema = 'public' AND constraint_type <> 'CHECK' ORDER BY 1;
SELECT constraint_name, column_name, ordinal_position FROM information_schema.key_column_usage WHERE table_schema = 'public' ORDER BY 1;
SELECT schemaname, tablename, tableowner, hasindexes FROM pg_tables WHERE schemaname = 'public' ORDER BY 2;
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'o' ORDER BY 1;
SELECT relname, relkind, relnatts FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
SELECT typname, typtype, typcategory, typlen, typelem::regtype FROM pg_type WHERE typname IN ('int4', '_text', 'varchar', 'numeric', 'jsonb', 'uuid', 'timestamptz', 'bool', 'bpchar') ORDER BY 1;
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_t' ORDER BY 1;
SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datallowconn FROM pg_database WHERE datname = 'postgres';
SELECT has_table_privilege('o', 'select'), has_schema_privilege('public', 'create'), has_database_privilege(current_database(), 'connect');
SELECT current_schemas(true), current_schemas(false), current_catalog = current_database(), session_user, current_role, user;
\dt
\dt+ nosuch
\d+ cst
\di o*
\dp o
\dv
\dm
\ds
\l nosuch
\conninfo_no
\encoding
\echo :AUTOCOMMIT :ROW_COUNT :ERROR :SQLSTATE
SELECT 1 AS a, 2 AS b \gset
\echo :a :b
SELECT 'SELECT 42 AS ' || 'answer' \gexec
SELECT 1 AS "x y", NULL AS n \gx
\gdesc
SELECT id, amount, placed, 'x' AS u, 1.5::numeric(4,1) FROM o \gdesc
SELECT cust, status, count(*) FROM o WHERE cust < 3 GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
SELECT $1, $2 \bind 1 2 \g
\pset null '(null)'
SELECT NULL, '' AS e;
\a
SELECT 1 AS a, 'b' AS b;
\a
\t
SELECT 5;
\t
\timing off
SELECT 1/0;
