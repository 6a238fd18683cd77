-- Changes that store rows anew: in chunks, in the transaction, and undone.
create table l(a int, b text, c numeric(10,2) default 1.5);
insert into l select g, 'text '||g, g/7.0 from generate_series(1,5000) g;
alter table l add primary key (a);
select count(*), sum(a), sum(c) from l;
create index l_c on l(c); create index l_b on l(b) include (c);
select a from l where c = 100.00 order by a;
alter table l add column s serial; select count(*), min(s), max(s), count(distinct s) from l; insert into l(a) values (9999); select s from l where a=9999;
alter table l alter column c type int; select sum(c) from l; select a from l where c = 100 order by a;
alter table l alter column b type int using length(b); select sum(b) from l; select count(*) from l where b = 9;
alter table l add column g int generated always as (a+s) stored; select sum(g) from l;
alter table l add constraint u unique (b);
alter table l add constraint u unique (s, b);
alter table l drop constraint l_pkey; select count(*), sum(a) from l; insert into l(a) values (1); select count(*) from l where a = 1;
alter table l add primary key (a);
delete from l where b is null; alter table l add primary key (a);
create table r(a int); insert into r select g from generate_series(1,5000) g; alter table r add foreign key (a) references l; insert into r values (5001); insert into r values (9999);
alter table r add check (a < 5000); alter table r add check (a < 5001); 
alter table l alter a type bigint; select count(*) from l join r on l.a = r.a; insert into r values (9999);
begin; alter table l add column z int default 4; create index on l(z); update l set z = 5 where a < 10; alter table l alter z type text; select z, count(*) from l group by z order by z; commit; select z, count(*) from l group by z order by z; select count(*) from l where z = '5';
begin; alter table l drop column z; truncate r; alter table l drop constraint l_pkey cascade; alter table l add primary key (s); rollback; select count(*) from l; select count(*) from r; select count(*) from l where z='4';
begin; create table n(a int primary key, b int); insert into n select g,g from generate_series(1,3000) g; create index on n(b); alter table n add unique (b); alter table n drop constraint n_pkey; alter table n alter b type text; delete from n where a <= 1000; commit; select count(*) from n; select count(*) from n where b = '1500';
begin; truncate n; insert into n values (1,'x'); truncate n; insert into n values (2,'y'); commit; select * from n;
begin; savepoint a; truncate n; insert into n values (7,'z'); rollback to a; select * from n; drop table n; rollback to a; select * from n; commit; select * from n;
create unique index concurrently cc on l(s); create index concurrently on l(b, s); drop index concurrently cc; begin; create index concurrently on l(b); rollback;
drop table l; drop table l cascade; drop table r, n;
create table w(id bigserial primary key, d date default current_date, v varchar(5) default 'abc', arr int[], j jsonb default '{}', u uuid, i interval, by bytea); \d w
alter table w alter v type varchar(2); insert into w(v) values ('xyz'); insert into w(v) values ('xy'); alter table w alter v type text; alter table w alter v type char(4); select v||'|' from w; alter table w alter v type varchar(1); \d w
alter table w add column n1 int not null default 3, add column n2 text not null default 'q'; select n1,n2 from w; update w set n1 = null; insert into w default values; select id,n1,n2 from w order by id; alter table w alter n1 set default 9; insert into w default values; select id,n1 from w order by id;
alter table w add column rr float default random(); select count(*) from w where rr >= 0 and rr < 1; alter table w add column ts timestamptz default now(); select count(distinct ts) from w;
create table fkp(a int, b int, primary key(a,b), unique(b)); create table fkc(x int, y int, foreign key (y,x) references fkp(b,a), foreign key (x) references fkp(b) match full on delete set null on update cascade); \d fkc
\d fkp
alter table fkp drop constraint fkp_b_key; alter table fkp drop column b; alter table fkp drop column b cascade; \d fkc
\d fkp
create view vv as select a, d.n1 from fkp, w d; \d vv
alter table w rename n1 to n9; \d+ vv
alter table w drop n9 cascade; select * from vv;
create sequence sq; \d sq
alter sequence sq owned by w.id; alter sequence sq as int increment 3 cache 5; \d sq
alter table w set schema nosuch; alter table w owner to nosuch; drop table w; \d sq
drop table if exists fkp, fkc cascade; create table fkp(a int, b int, primary key(a,b)); insert into fkp values (1,2),(3,4);
create table fkc(x int, y int, foreign key (y,x) references fkp(b,a)); \d fkc
insert into fkc values (1,2); insert into fkc values (2,1); delete from fkp where a = 1; delete from fkp where a=3; update fkp set a = 7;
create table fkd(x int, y bigint); insert into fkd values (2,1),(1,2); alter table fkd add foreign key (y,x) references fkp(b,a); delete from fkd where x=2; alter table fkd add foreign key (y,x) references fkp(b,a) on update cascade; update fkp set a = 7 where a = 1; alter table fkc drop constraint fkc_y_x_fkey; update fkp set a = 7 where a = 1; select * from fkd;
