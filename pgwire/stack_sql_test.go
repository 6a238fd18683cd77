package pgwire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cairndb/cairn/sql"
)

// code runs a text of the simple protocol and returns the last tag, or the
// SQLSTATE of the error.
func code(t testing.TB, c *pgx.Conn, text string) string {
	t.Helper()
	results, err := c.PgConn().Exec(t.Context(), text).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return results[len(results)-1].CommandTag.String()
}

// all returns what a query yields: values with commas, rows with semicolons.
func all(t testing.TB, c *pgx.Conn, text string) string {
	t.Helper()
	results, err := c.PgConn().Exec(t.Context(), text).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var rows []string
	for _, r := range results[len(results)-1].Rows {
		var values []string
		for _, v := range r {
			if v == nil {
				values = append(values, "NULL")
			} else {
				values = append(values, string(v))
			}
		}
		rows = append(rows, strings.Join(values, ","))
	}
	return strings.Join(rows, ";")
}

// script runs statements and compares what each answers: "statement -> tag,
// SQLSTATE or (rows)".
func script(t *testing.T, c *pgx.Conn, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		statement, want, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		if !ok {
			continue
		}
		got := ""
		if strings.HasPrefix(want, "(") {
			got = "(" + all(t, c, statement) + ")"
		} else {
			got = code(t, c, statement)
		}
		if got != want {
			t.Errorf("%s: %s instead of %s", statement, got, want)
		}
	}
}

func TestTransactions(t *testing.T) {
	s := newStack(t, nil)
	c := s.connect(t, "")
	code(t, c, "create table t(k int primary key, v int)")
	t.Run("several statements are one implicit transaction", func(t *testing.T) {
		script(t, c, `
			insert into t values (1, 1); select 1/0 -> 22012
			select count(*) from t -> (0)
			insert into t values (1, 1); insert into t values (2, 2) -> INSERT 0 1
			select count(*) from t -> (2)
			insert into t values (3, 3); begin; insert into t values (4, 4) -> INSERT 0 1
			rollback -> ROLLBACK
			select count(*) from t -> (2)
			insert into t values (3, 3); commit; select 1/0 -> 22012
			select count(*) from t -> (3)`)
	})
	t.Run("a failed block takes nothing but its end", func(t *testing.T) {
		script(t, c, `
			begin -> BEGIN
			insert into t values (10, 1) -> INSERT 0 1
			insert into t values (10, 1) -> 23505
			select 1 -> 25P02
			set timezone = 'UTC' -> 25P02
			commit -> ROLLBACK
			select count(*) from t where k = 10 -> (0)
			commit -> COMMIT`)
	})
	t.Run("savepoints nest, and names shadow", func(t *testing.T) {
		script(t, c, `
			savepoint a -> 25P01
			begin -> BEGIN
			insert into t values (20, 1) -> INSERT 0 1
			savepoint a -> SAVEPOINT
			insert into t values (21, 1) -> INSERT 0 1
			savepoint a -> SAVEPOINT
			insert into t values (22, 1) -> INSERT 0 1
			select 1/0 -> 22012
			rollback to a -> ROLLBACK
			select string_agg(k::text, ' ' order by k) from t where k >= 20 -> (20 21)
			release a -> RELEASE
			rollback to a -> ROLLBACK
			select string_agg(k::text, ' ' order by k) from t where k >= 20 -> (20)
			release b -> 3B001
			rollback to a -> ROLLBACK
			commit -> COMMIT
			select string_agg(k::text, ' ' order by k) from t where k >= 20 -> (20)`)
	})
	t.Run("READ ONLY is kept", func(t *testing.T) {
		script(t, c, `
			begin read only -> BEGIN
			select count(*) > 0 from t -> (t)
			savepoint a -> SAVEPOINT
			insert into t values (30, 1) -> 25006
			rollback to a -> ROLLBACK
			create table other(k int) -> 25006
			rollback -> ROLLBACK
			set default_transaction_read_only = on -> SET
			delete from t -> 25006
			begin read write -> BEGIN
			delete from t where k = 20 -> DELETE 1
			commit -> COMMIT
			reset default_transaction_read_only -> RESET`)
	})
	t.Run("levels are shown as they were asked for", func(t *testing.T) {
		script(t, c, `
			show transaction_isolation -> (serializable)
			begin isolation level read committed -> BEGIN
			show transaction_isolation -> (read committed)
			select 1 -> (1)
			set transaction isolation level serializable -> 25001
			rollback -> ROLLBACK
			set session characteristics as transaction isolation level repeatable read -> SET
			show default_transaction_isolation -> (repeatable read)
			reset default_transaction_isolation -> RESET
			begin -> BEGIN
			commit and chain -> COMMIT
			rollback and chain -> ROLLBACK
			rollback -> ROLLBACK
			commit and chain -> 25P01`)
	})
	t.Run("settings follow the transaction", func(t *testing.T) {
		script(t, c, `
			set application_name = 'one' -> SET
			begin -> BEGIN
			set application_name = 'two' -> SET
			set local application_name = 'three' -> SET
			show application_name -> (three)
			savepoint a -> SAVEPOINT
			set application_name = 'four' -> SET
			rollback to a -> ROLLBACK
			show application_name -> (three)
			commit -> COMMIT
			show application_name -> (two)
			begin -> BEGIN
			set application_name = 'five' -> SET
			rollback -> ROLLBACK
			show application_name -> (two)`)
	})
}

func TestConflicts(t *testing.T) {
	s := newStack(t, nil)
	a, b := s.connect(t, ""), s.connect(t, "")
	code(t, a, "create table t(k int primary key, v int)")
	code(t, a, "insert into t values (1, 0), (2, 0)")
	t.Run("statements by themselves are repeated", func(t *testing.T) {
		const clients, each = 6, 25
		var wait sync.WaitGroup
		for range clients {
			c := s.connect(t, "")
			wait.Go(func() {
				for range each {
					if _, err := c.Exec(context.Background(), "update t set v = v + (select 1 from t where k = $1) where k = 1", 2); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		if got := all(t, a, "select v from t where k = 1"); got != fmt.Sprint(clients*each) {
			t.Error(got)
		}
	})
	t.Run("write skew is a serialization failure", func(t *testing.T) {
		script(t, a, "begin -> BEGIN\nselect sum(v) >= 0 from t -> (t)")
		script(t, b, "begin isolation level read committed -> BEGIN\nselect sum(v) >= 0 from t -> (t)\nupdate t set v = 7 where k = 2 -> UPDATE 1\ncommit -> COMMIT")
		script(t, a, "update t set v = 8 where k = 1 -> UPDATE 1\ncommit -> 40001\nselect v from t where k = 2 -> (7)")
	})
	t.Run("waiting for locks ends as asked for", func(t *testing.T) {
		script(t, a, "begin -> BEGIN\nselect v from t where k = 1 for update -> SELECT 1")
		script(t, b, `
			select v from t where k = 1 for update nowait -> 55P03
			set lock_timeout = 50 -> SET
			update t set v = 1 where k = 1 -> 55P03
			set lock_timeout = 0 -> SET
			set statement_timeout = 50 -> SET
			update t set v = 1 where k = 1 -> 57014
			reset statement_timeout -> RESET`)
		script(t, a, "rollback -> ROLLBACK")
	})
}

func TestCancel(t *testing.T) {
	s := newStack(t, nil)
	c := s.connect(t, "")
	code(t, c, "create table t(k int primary key)")
	code(t, c, "insert into t values (1)")
	blocker := s.connect(t, "")
	script(t, blocker, "begin -> BEGIN\nselect k from t for update -> SELECT 1")
	failed := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "select k from t where k = 1 for update")
		failed <- err
	}()
	// Cancel requests that come too early are lost, as in PostgreSQL.
	for {
		if err := c.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-failed:
			if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "57014" {
				t.Fatal(err)
			}
			script(t, c, "select 1 -> (1)")
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTerminateBackend(t *testing.T) {
	s := newStack(t, nil)
	a, b := s.connect(t, ""), s.connect(t, "")
	script(t, a, fmt.Sprintf("select pg_terminate_backend(%d) -> (t)\nselect pg_terminate_backend(1) -> (f)", b.PgConn().PID()))
	_, err := b.Exec(t.Context(), "select 1")
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code != "57P01" || err == nil {
		t.Fatal(err)
	}
}

func TestPlansFollowTheSchema(t *testing.T) {
	s := newStack(t, nil)
	a, b := s.connect(t, ""), s.connect(t, "")
	script(t, a, `
		create table t(k int primary key, v text) -> CREATE TABLE
		insert into t values (1, 'one') -> INSERT 0 1
		prepare p as select * from t where k = 1 -> PREPARE
		prepare q(int) as select v from t where k = $1 -> PREPARE
		execute p -> (1,one)
		execute q(1) -> (one)`)
	script(t, b, "alter table t add column w int default 5 -> ALTER TABLE")
	script(t, a, `
		execute p -> 0A000
		execute q(1) -> (one)
		select * from t -> (1,one,5)
		create schema other -> CREATE SCHEMA
		create table other.t(k int primary key, v text) -> CREATE TABLE
		set search_path = other, public -> SET
		execute q(1) -> ()
		reset search_path -> RESET
		execute q(1) -> (one)
		begin -> BEGIN
		alter table t drop column v -> ALTER TABLE
		execute q(1) -> 42703
		rollback -> ROLLBACK
		execute q(1) -> (one)`)
	script(t, b, "drop table t -> DROP TABLE")
	script(t, a, "execute q(1) -> 42P01")
}

func TestCursors(t *testing.T) {
	c := newStack(t, nil).connect(t, "")
	script(t, c, `
		declare c cursor for select 1 -> 25P01
		begin -> BEGIN
		declare c scroll cursor for select g from generate_series(1, 10) g -> DECLARE CURSOR
		declare c cursor for select 1 -> 42P03
		rollback -> ROLLBACK
		begin -> BEGIN
		declare c scroll cursor for select g from generate_series(1, 10) g -> DECLARE CURSOR
		fetch 3 from c -> (1;2;3)
		fetch backward 2 from c -> (2;1)
		fetch prior from c -> ()
		fetch next from c -> (1)
		fetch absolute -2 from c -> (9)
		fetch relative -3 from c -> (6)
		fetch last from c -> (10)
		move backward all from c -> MOVE 9
		fetch 0 from c -> ()
		fetch all from c -> (1;2;3;4;5;6;7;8;9;10)
		fetch from c -> FETCH 0
		declare d no scroll cursor for select g from generate_series(1, 3) g -> DECLARE CURSOR
		fetch all from d -> (1;2;3)
		savepoint s -> SAVEPOINT
		fetch prior from d -> 55000
		rollback to s -> ROLLBACK
		declare h cursor with hold for select g from generate_series(1, 3000) g -> DECLARE CURSOR
		fetch 1 from h -> (1)
		commit -> COMMIT
		fetch 2 from h -> (2;3)
		fetch c -> 34000
		move 2990 from h -> MOVE 2990
		fetch all from h -> (2994;2995;2996;2997;2998;2999;3000)
		close all -> CLOSE CURSOR ALL`)
}

func TestCopyBothWays(t *testing.T) {
	c := newStack(t, nil).connect(t, "")
	code(t, c, "create table t(k int primary key, a text, b text)")
	for _, format := range []string{"", " with (format csv)", " with (format csv, header match, delimiter ';', quote '''', escape '!', null 'nil')"} {
		code(t, c, "truncate t")
		code(t, c, "insert into t values (1, E'tab\\tnew\\nline\\\\back', null), (2, 'quo\"te', ''), (3, '\\N', 'nil'), (4, ';''!,', E'\\r\\b')")
		before := all(t, c, "select * from t order by k")
		var data strings.Builder
		if _, err := c.PgConn().CopyTo(t.Context(), &data, "copy t to stdout"+format); err != nil {
			t.Fatal(err)
		}
		code(t, c, "truncate t")
		tag, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(data.String()), "copy t from stdin"+format)
		if err != nil || tag.RowsAffected() != 4 {
			t.Fatal(tag, err)
		}
		if after := all(t, c, "select * from t order by k"); after != before {
			t.Errorf("%s:\n%s\n%s", format, before, after)
		}
	}
	for data, want := range map[string]string{
		"5\tx\ty\nabc\tx\ty\n": `22P02 COPY t, line 2, column k: "abc"`,
		"5\tx\n":               `22P04 COPY t, line 1: "5	x"`,
		"5\tx\ty\tz\n":         `22P04 COPY t, line 1: "5	x	y	z"`,
		"5\t\xff\ty\n":         `22021 COPY t, line 1`,
		"1\tx\ty\n":            `23505 COPY t, line 1`,
	} {
		_, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader(data), "copy t from stdin")
		e, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || e.Code+" "+e.Where != want {
			t.Errorf("%q: %v %v", data, err, e)
		}
	}
	script(t, c, `
		copy t from '/etc/passwd' -> 0A000
		copy t to stdout with (format binary) -> COPY 4
		copy t to stdout with (delimiter 'ab') -> 0A000
		copy t to stdout with (nonsense) -> 42601
		copy t(nope) from stdin -> 42703
		copy nope from stdin -> 42P01`)
}

func TestBindChecksItsParameters(t *testing.T) {
	c := newStack(t, nil).connect(t, "")
	pg := c.PgConn()
	for _, q := range []struct {
		values [][]byte
		want   string
	}{
		{[][]byte{[]byte("1")}, ""},
		{[][]byte{[]byte("x")}, "22P02 unnamed portal parameter $1"},
		{[][]byte{nil}, ""},
		{nil, "08P01 "},
		{[][]byte{[]byte("1"), []byte("2")}, "08P01 "},
	} {
		r := pg.ExecParams(t.Context(), "select $1::int", q.values, nil, nil, nil).Read()
		got := ""
		if e, ok := errors.AsType[*pgconn.PgError](r.Err); ok {
			got = e.Code + " " + e.Where
		}
		if got != q.want {
			t.Errorf("%q: %s instead of %s", q.values, got, q.want)
		}
	}
	if _, err := pg.Prepare(t.Context(), "s", "select 1; select 2", nil); err == nil {
		t.Error("two statements were prepared as one")
	}
}

// certificate makes a certificate for a name, signed by parent (itself if nil).
func certificate(t *testing.T, name string, parent *tls.Certificate) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, BasicConstraintsValid: true, IsCA: parent == nil, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	signer, signerKey := c, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestAuthentication(t *testing.T) {
	authority := certificate(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	own := certificate(t, "node", &authority)
	s := newStack(t, func(c *Config) {
		c.Insecure = false
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	})
	connect := func(user, password string, with *tls.Certificate, encrypted bool) (*pgx.Conn, string) {
		config, err := pgx.ParseConfig("postgres://" + user + "@" + s.address + "/postgres?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		config.Password = password
		if encrypted {
			config.TLSConfig = &tls.Config{RootCAs: pool, ServerName: "localhost"}
			if with != nil {
				config.TLSConfig.Certificates = []tls.Certificate{*with}
			}
		}
		c, err := pgx.ConnectConfig(t.Context(), config)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok {
			return nil, e.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return c, ""
	}
	superuser := certificate(t, "postgres", &authority)
	c, failure := connect("postgres", "", &superuser, true)
	if failure != "" {
		t.Fatal(failure)
	}
	script(t, c, "create role app login password 'secret' -> CREATE ROLE\ncreate role nologin password 'secret' -> CREATE ROLE")
	for name, k := range map[string]struct {
		user, password string
		certificate    *tls.Certificate
		encrypted      bool
		want           string
	}{
		"the right password":            {"app", "secret", nil, true, ""},
		"a wrong password":              {"app", "guess", nil, true, "28P01"},
		"an unknown role":               {"nobody", "secret", nil, true, "28P01"},
		"no password set":               {"postgres", "secret", nil, true, "28P01"},
		"a role that may not log in":    {"nologin", "secret", nil, true, "28000"},
		"no encryption":                 {"app", "secret", nil, false, "28000"},
		"somebody else's certificate":   {"app", "guess", &superuser, true, "28P01"},
		"another's certificate, no way": {"nobody", "", &superuser, true, "28000"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := connect(k.user, k.password, k.certificate, k.encrypted); got != k.want {
				t.Errorf("%q instead of %q", got, k.want)
			}
		})
	}
}

// BenchmarkPreparedPointSelect is a round trip over loopback, its client
// included.
func BenchmarkPreparedPointSelect(b *testing.B) {
	s := newStack(b, nil)
	c := s.connect(b, "")
	code(b, c, "create table t(k int primary key, v int)")
	code(b, c, "insert into t select g, g from generate_series(1, 1000) g")
	if _, err := c.Prepare(b.Context(), "s", "select v from t where k = $1"); err != nil {
		b.Fatal(err)
	}
	pg := c.PgConn()
	b.ReportAllocs()
	for i := range b.N {
		r := pg.ExecPrepared(b.Context(), "s", [][]byte{fmt.Append(nil, i%1000+1)}, nil, nil).Read()
		if r.Err != nil || len(r.Rows) != 1 {
			b.Fatal(r.Err, len(r.Rows))
		}
	}
}

// nowhere is a connection whose client never reads: its output is dropped.
type nowhere struct{ *connection }

func (n nowhere) SyncFollows() bool { return true }

// BenchmarkSession is what a statement costs from Bind to Sync without the
// network: session, plan, executor, transaction, storage.
func BenchmarkSession(b *testing.B) {
	s := newStack(b, nil)
	c := s.connect(b, "")
	code(b, c, "create table t(k int primary key, v int)")
	code(b, c, "insert into t select g, g from generate_series(1, 1000) g")
	for name, text := range map[string]string{"select": "select v from t where k = $1", "update": "update t set v = v + 1 where k = $1", "constant": "select $1::int"} {
		b.Run(name, func(b *testing.B) {
			client := nowhere{&connection{server: s.pgwire}}
			client.writer.sink = io.Discard
			session, err := s.sql.Connect(sql.ConnectRequest{User: "postgres", Database: "postgres"}, client)
			if err != nil {
				b.Fatal(err)
			}
			defer session.Close()
			statement, portal := []byte("s"), []byte("")
			if err := errors.Join(session.Parse("s", text, nil), session.Sync()); err != nil {
				b.Fatal(err)
			}
			a := &sql.BindArguments{Parameters: make([][]byte, 1)}
			value := make([]byte, 0, 8)
			b.ReportAllocs()
			for i := range b.N {
				value = strconv.AppendInt(value[:0], int64(i%1000+1), 10)
				a.Parameters[0] = value
				if err := session.Bind(portal, statement, a); err != nil {
					b.Fatal(err)
				}
				if err := session.Execute(portal, 0); err != nil {
					b.Fatal(err)
				}
				if err := session.Sync(); err != nil {
					b.Fatal(err)
				}
				_ = client.writer.flush()
			}
		})
	}
}
