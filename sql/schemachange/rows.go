package schemachange

import (
	"context"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
	"github.com/cairndb/cairn/txn"
)

// A chunk is so many rows, or bytes of them, whichever is reached first.
const (
	chunkRows  = 2048
	chunkBytes = 1 << 20
)

// smallTable is up to how many rows a change does all in the statement's
// transaction rather than in chunks of their own.
const smallTable = 1000

// rowScanner reads the rows of a table by its primary index, chunk by chunk.
// It belongs to one goroutine.
type rowScanner struct {
	table   *catalog.Table
	decoder *rowenc.Decoder
	wanted  []catalog.ColumnID
	out     []types.Datum
	next    []byte // where the next chunk begins; nil at the end
	end     []byte
}

func newRowScanner(t *catalog.Table) (*rowScanner, error) {
	s := &rowScanner{table: t}
	for _, c := range t.StoredColumns() {
		s.wanted = append(s.wanted, c.ID)
	}
	layout := rowenc.NewLayout(t, &t.Primary)
	var err error
	if s.decoder, err = rowenc.NewDecoder(layout, s.wanted); err != nil {
		return nil, err
	}
	s.out = make([]types.Datum, len(s.wanted))
	s.next, s.end = layout.Prefix(), keys.PrefixEnd(layout.Prefix())
	return s, nil
}

// chunk reads the next rows through t; each has the column of id n at n-1. It
// may be called again after an error: the scanner moves on by advance.
func (s *rowScanner) chunk(ctx context.Context, t *txn.Txn) (rows [][]types.Datum, next []byte, err error) {
	responses, err := t.Send(ctx, &txn.Batch{
		Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: s.next, EndKey: s.end}},
		MaxKeys:  chunkRows, TargetBytes: chunkBytes,
	})
	if err != nil {
		return nil, nil, err
	}
	width := len(s.table.Columns)
	all := make([]types.Datum, len(responses[0].Rows)*width)
	for i := range all {
		all[i] = types.DNull
	}
	for i := range responses[0].Rows {
		kv := &responses[0].Rows[i]
		if err := s.decoder.Decode(kv.Key, kv.Value, s.out); err != nil {
			return nil, nil, err
		}
		row := all[i*width : (i+1)*width : (i+1)*width]
		for j, id := range s.wanted {
			row[id-1] = s.out[j]
		}
		rows = append(rows, row)
	}
	if responses[0].Resume != nil {
		next = responses[0].Resume.Key
	}
	return rows, next, nil
}

func (s *rowScanner) advance(next []byte) { s.next = next }

func (s *rowScanner) done() bool { return s.next == nil }

// ownTransactions reports whether a table may be read and written for a
// change in transactions beside the statement's: it has nothing uncommitted of
// that, and the statement is alone.
func (env *Env) ownTransactions(t *catalog.Table) bool {
	return env.AutoCommit && !env.Catalog.Created(t.ID)
}

// eachRow calls f for all rows of a table, which nobody changes meanwhile: the
// transaction has locked or made it. own: through transactions beside the
// statement's, which has written none of the rows.
func (env *Env) eachRow(ctx context.Context, t *catalog.Table, own bool, f func(rows [][]types.Datum, t *txn.Txn) error) error {
	s, err := newRowScanner(t)
	if err != nil {
		return err
	}
	for !s.done() {
		var next []byte
		work := func(ctx context.Context, t *txn.Txn) error {
			rows, n, err := s.chunk(ctx, t)
			if err != nil {
				return err
			}
			next = n
			return f(rows, t)
		}
		if own {
			err = env.DB.Run(ctx, txn.Options{Name: "check rows", ReadOnly: true}, work)
		} else {
			err = work(ctx, env.Txn)
		}
		if err != nil {
			return err
		}
		s.advance(next)
	}
	return nil
}

// isSmall reports whether a table has few rows, as of now.
func (env *Env) isSmall(ctx context.Context, t *catalog.Table) (bool, error) {
	prefix := keys.Index(uint32(t.ID), uint32(t.Primary.ID))
	small := false
	err := env.DB.Run(ctx, txn.Options{Name: "look at table", ReadOnly: true}, func(ctx context.Context, x *txn.Txn) error {
		responses, err := x.Send(ctx, &txn.Batch{Requests: []kvpb.Request{{Kind: kvpb.Scan, Key: prefix, EndKey: keys.PrefixEnd(prefix)}}, MaxKeys: smallTable})
		if err != nil {
			return err
		}
		small = responses[0].Resume == nil
		return nil
	})
	return small, err
}
