#!/usr/bin/env python3
"""Asks PostgreSQL 15 (PGHOST, PGUSER; psql on the path) what expressions yield and
writes expected.tsv: kind, its arguments, result type, result or SQLSTATE and message.
The clock's settings are PostgreSQL's defaults with TimeZone America/New_York."""
import itertools, os, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
cases = []

def inputs(t, *texts):
    for x in texts:
        cases.append(("in", t, x, "", ""))

def cast(source, text, target):
    cases.append(("cast", source, text, target, ""))

def op(name, lt, l, rt, r):
    cases.append(("op", name + " " + lt + " " + rt, l, r, ""))

with open(os.path.join(here, "inputs.txt")) as f:
    for line in f:
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        parts = line.split("¦")
        if parts[0] == "in":
            for x in parts[2:]:
                inputs(parts[1], x)
        elif parts[0] == "cast":
            for target in parts[3].split(";"):
                cast(parts[1], parts[2], target)
        elif parts[0] == "op":
            for name in parts[1].split(" "):
                op(name, parts[2], parts[3], parts[4], parts[5])

numbers = {
    "int2": ["0", "1", "-7", "32767", "-32768"],
    "int4": ["0", "-1", "13", "2147483647", "-2147483648"],
    "int8": ["0", "-1", "7", "9223372036854775807", "-9223372036854775808"],
    "numeric": ["0", "1.50", "-7.125", "1000000000000000000000.1", "NaN", "Infinity"],
    "float4": ["0", "1.5", "-3.3", "3e38", "NaN"],
    "float8": ["0", "1.1", "-7e10", "1e308", "Infinity"],
    "unknown": ["2", "x"],
}
for lt, rt in itertools.product(numbers, numbers):
    if lt == rt == "unknown":
        continue
    for name in ["+", "-", "*", "/", "%", "=", "<", "^"]:
        for l, r in itertools.product(numbers[lt], numbers[rt]):
            if (len(l) * 7 + len(r) * 3 + len(lt) + len(rt)) % 3 and (lt != rt or name in "=<%^"):
                continue # a third of them will do
            op(name, lt, l, rt, r)
for lt in numbers:
    for rt in numbers:
        if rt == "unknown" or lt == "unknown":
            continue
        for l in numbers[lt]:
            cast(lt, l, rt)
samples = {
    "bool": "t", "int2": "1", "int4": "2", "int8": "3", "float4": "1.5", "float8": "2.5", "numeric": "3.50", "text": "1",
    "varchar": "1", "bpchar": "1", "name": "nm", "\"char\"": "c", "bytea": "\\x31", "date": "2021-03-14", "time": "04:05:06.7",
    "timetz": "04:05:06-08", "timestamp": "2021-03-14 02:30:00", "timestamptz": "2021-03-14 12:00:00+00", "interval": "1 day 02:03:04",
    "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "json": "[1]", "jsonb": "[1]", "oid": "26", "regtype": "int4", "int4[]": "{1,2}",
    "int8[]": "{1,2}", "text[]": "{1,2}", "varchar[]": "{a}", "int2vector": "1 2", "oidvector": "1 2", "unknown": "1", "xid": "5",
    "pg_lsn": "0/1", "tid": "(1,2)", "numeric[]": "{1.50}", "date[]": "{2021-03-14}",
}
for l, r in itertools.product(samples, samples):
    if l != "unknown":
        if r != "unknown":
            cast(l, samples[l], r)
    for name in ["=", "<", "||", "+", "-", "~~", "~", "@>", "*"]:
        if l == "unknown" and name == "@>":
            continue # ambiguous in PostgreSQL, which has ranges
        if not (l == r == "unknown"):
            op(name, l, samples[l], r, samples[r])

for l, r in itertools.product(samples, samples):
    cases.append(("unify", l, r, "", ""))

# Output in other styles, and the binary forms.
styled = [("date", "2021-03-04"), ("date", "0044-03-15 BC"), ("timestamp", "2021-03-04 05:06:07.89"), ("timestamp", "0044-03-15 10:00 BC"),
    ("timestamptz", "2021-03-04 05:06:07.89+00"), ("timestamptz", "2021-07-04 05:06:07+00"), ("timestamptz", "1850-01-01 00:00+00"), ("date", "infinity")]
spans = ["1 day", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons +3 days -04:05:06", "1 year 2 mons", "-1 year -2 mons", "3 days 04:05:06",
    "-3 days -04:05:06.5", "00:00:00", "04:05:06.7", "-00:00:01.5", "1 mon -1 day", "00:00:01", "-1 mons +1 day 00:00:01", "100:00:00", "2 mons 1 day -00:00:01"]
orders = ["01/02/2003", "1-2-03", "13/02/2003", "2003-02-13", "Feb 3 04", "3 Feb 04", "99-02-01"]
for style in ["ISO", "Postgres", "SQL", "German"]:
    for order in ["MDY", "DMY", "YMD"]:
        for t, x in styled:
            cases.append(("out", "datestyle=%s,%s" % (style, order), t, x, ""))
        if style == "ISO":
            for x in orders:
                cases.append(("out", "datestyle=%s,%s" % (style, order), "date", x, ""))
for style in ["postgres", "postgres_verbose", "sql_standard", "iso_8601"]:
    for x in spans:
        cases.append(("out", "intervalstyle=%s" % style, "interval", x, ""))
    for x in ["-1 2:03:04", "-1-2 3", "1 day 2 hours", "-1 day 2 hours"]:
        cases.append(("out", "intervalstyle=%s" % style, "interval", x, ""))
for digits in ["0", "-3", "-15", "1", "3"]:
    for t in ["float4", "float8"]:
        for x in ["0.1", "1.23456789012345678", "1e20", "123456", "1e-7", "0.5", "NaN", "100000", "1234567.8"]:
            cases.append(("out", "extra_float_digits=" + digits, t, x, ""))
for x in ["\\x0041ff5c", "abc"]:
    cases.append(("out", "bytea_output=escape", "bytea", x, ""))
binary = [("bool", "t"), ("int2", "-2"), ("int4", "-2"), ("int8", "-2"), ("float4", "1.5"), ("float8", "-1.5"), ("text", "\u00e4b"), ("varchar", "x"), ("bpchar", "x "),
    ("name", "n"), ("\"char\"", "c"), ("bytea", "\\x00ff"), ("date", "2021-03-04"), ("date", "infinity"), ("time", "04:05:06.7"), ("timetz", "04:05:06.7-08:30"),
    ("timestamp", "2021-03-04 05:06:07.89"), ("timestamp", "-infinity"), ("timestamptz", "2021-03-04 05:06:07.89+00"), ("interval", "1 mon -2 days 03:04:05.6"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ("json", '{"a": 1}'), ("jsonb", '{"b":1,"a":2}'), ("oid", "4294967295"), ("regtype", "int4"), ("int4[]", "{1,NULL,3}"),
    ("int4[]", "{}"), ("text[]", "{{a,b},{c,d}}"), ("int4[]", "[0:1]={1,2}"), ("int2vector", "1 2"), ("oidvector", ""), ("pg_lsn", "16/B374D848"), ("tid", "(1,2)"), ("xid", "7"),
    ("numeric[]", "{1.5,NaN}")]
for x in ["0", "0.00", "1", "-1", "1.5", "-1.50", "10000", "9999.9999", "0.0001", "0.00001", "123456789.000", "1e20", "1e-20", "NaN", "Infinity", "-Infinity", "12345678901234567890.123456", "100000000", "0.1000", "1e40"]:
    binary.append(("numeric", x))
for t, x in binary:
    cases.append(("binary", t, x, "", ""))

def quote(s):
    return "'" + s.replace("'", "''") + "'"

def literal(t, s):
    return quote(s) if t == "unknown" else "%s::%s" % (quote(s), t)

statements = ["""set timezone = 'America/New_York'; set client_min_messages = error;
create or replace function pg_temp.ask(expr text, out t text, out r text) language plpgsql as $$
declare h text; d text;
begin
  if expr like 'SET %' then
    perform set_config(split_part(substr(split_part(expr, E'\x01', 1), 5), '=', 1), split_part(split_part(expr, E'\x01', 1), '=', 2), false);
    expr := split_part(expr, E'\x01', 2);
  end if;
  execute 'select coalesce((x)::text, ''<NULL>''), format_type(pg_typeof(x), null) from (select ' || expr || ' as x) s' into r, t;
exception when others then
  get stacked diagnostics h = pg_exception_hint, d = pg_exception_detail;
  t := sqlstate; r := sqlerrm || case when d <> '' then ' /D/ ' || d else '' end || case when h <> '' then ' /H/ ' || h else '' end;
end $$;
create function pg_temp.send(v anyelement) returns bytea language plpgsql as $$ declare r bytea; begin
  execute format('select %s($1)', (select typsend from pg_type where oid = pg_typeof(v))) into r using v; return r; end $$;
create temp table asked (n int, expr text);
copy asked from stdin;"""]
def copyText(s):
    return s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
rows = []
for n, (kind, a, b, c, d) in enumerate(cases):
    if kind == "in":
        e = literal(a, b)
    elif kind == "out":
        e = "SET " + a + "\x01" + literal(b, c) + "::text"
    elif kind == "unify":
        e = "coalesce(%s, %s)" % tuple("null" if t == "unknown" else "null::" + t for t in (a, b))
    elif kind == "binary":
        e = "encode(pg_temp.send(%s), 'hex')" % literal(a, b)
    elif kind == "cast":
        e = "(%s)::%s" % (literal(a, b), c)
    else:
        name, lt, rt = a.split(" ")
        e = "(%s) %s (%s)" % (literal(lt, b), name, literal(rt, c)) if lt != "none" else "%s (%s)" % (name, literal(rt, c))
    rows.append("%d\t%s" % (n, copyText(e)))
statements.append("\n".join(rows) + "\n\\.\n")
statements.append("copy (select n, (pg_temp.ask(expr)).* from asked order by n) to stdout;")
out = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "template1"], input="\n".join(statements), capture_output=True, text=True)
if out.returncode:
    sys.exit(out.stderr)
with open(os.path.join(here, "expected.tsv"), "w") as f:
    for line, (kind, a, b, c, d) in zip(out.stdout.rstrip("\n").split("\n"), cases):
        n, t, r = line.split("\t")
        r = r.replace(" /H/ No operator matches the given name and argument types. You might need to add explicit type casts.", " /H/ no match")
        r = r.replace("operator does not exist: ", "no: ")
        f.write("\t".join([kind, copyText(a), copyText(b), copyText(c), t, r]) + "\n")
print(len(cases), "cases")
