#!/bin/sh
# Writes the tables of facts about PostgreSQL's types, casts and operators from
# a running PostgreSQL 15: PGHOST=… PGUSER=… ./generate.sh
set -e
cd "$(dirname "$0")"
dump() { psql -X -d template1 -A -t -F "$(printf '\t')" -c "$2" >"$1"; }

dump types.tsv "select t.oid, typname, format_type(t.oid, null), typlen, typcategory, typispreferred, typelem, typarray, typtype
  from pg_type t left join pg_class c on c.oid = typrelid
  where (typnamespace = 'pg_catalog'::regnamespace) and typtype in ('b', 'p', 'r', 'm') and (typelem = 0 or typelem in (select oid from pg_type where typtype in ('b', 'p', 'r', 'm'))) order by t.oid"
# A cast's function is named by its source function in the server, or by its
# name where it is written in SQL; it is - for a binary coercible cast.
dump casts.tsv "select castsource, casttarget, castcontext, castmethod, coalesce(p.oid, 0),
    coalesce(case when prolang = 14 then proname else prosrc end, '-'), coalesce(pronargs, 0)
  from pg_cast left join pg_proc p on p.oid = castfunc order by 1, 2"
dump operators.tsv "select o.oid, oprname, oprleft, oprright, oprresult, case when prolang = 14 then proname else prosrc end, oprcom, oprnegate, oprcanmerge, oprcanhash
  from pg_operator o join pg_proc p on p.oid = oprcode order by o.oid"
# The functions behind operators and casts; they can be called by name too.
dump procedures.tsv "select p.oid, proname, case when prolang = 14 then proname else prosrc end, proargtypes, prorettype, provolatile, proisstrict, coalesce(d.description, '')
  from pg_proc p left join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
  where prokind = 'f' and (p.oid in (select oprcode from pg_operator) or p.oid in (select castfunc from pg_cast)) order by p.oid"
dump zones.tsv "select abbrev, extract(epoch from utc_offset)::int, is_dst from pg_timezone_abbrevs order by 1"
dump zonenames.tsv "select name from pg_timezone_names where name not like 'posix%' and name not in ('localtime', 'Factory') order by 1"
