-- Writes the facts about all of PostgreSQL's functions: psql -f facts.sql >all.tsv,
-- then go test -run TestFacts -all all.tsv keeps those that are implemented.
copy (
select p.oid, p.proname, p.prokind,
 coalesce((select string_agg(t.typname, ',' order by o) from unnest(p.proargtypes::oid[]) with ordinality u(x,o) join pg_type t on t.oid=x),'') as args,
 case when provariadic<>0 then 'v' else '' end as variadic,
 pronargdefaults,
 coalesce((select string_agg(n,',' order by o) from unnest(p.proargnames[1:case when p.proargmodes is null then p.pronargs else coalesce((select count(*) from unnest(p.proargmodes) m where m in ('i','b','v')),0)::int end]) with ordinality u(n,o)),'') as argnames,
 r.typname as ret, provolatile, case when proisstrict then 's' else '' end, case when proretset then 'r' else '' end,
 coalesce((select string_agg(coalesce(nullif(p.proargnames[o],''),'')||':'||t.typname, ',' order by o) from unnest(p.proallargtypes, p.proargmodes) with ordinality u(x,m,o) join pg_type t on t.oid=x where m in ('o','t','b')),'') as outs,
 coalesce(pg_get_expr(p.proargdefaults,0),'') as defaults,
 coalesce(a.aggkind,'') as aggkind, coalesce(a.aggnumdirectargs,0) as direct,
 coalesce(d.description,'')
from pg_proc p join pg_type r on r.oid=p.prorettype left join pg_aggregate a on a.aggfnoid=p.oid left join pg_description d on d.objoid=p.oid and d.classoid='pg_proc'::regclass
where pronamespace='pg_catalog'::regnamespace and prokind in ('f','a','w')
and not ('internal'::regtype = any(proargtypes::oid[])) and prorettype not in ('internal'::regtype,'trigger'::regtype,'event_trigger'::regtype)
order by proname, p.oid) to stdout
