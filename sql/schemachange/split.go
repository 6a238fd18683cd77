package schemachange

import (
	"context"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/rowenc"
	"github.com/cairndb/cairn/sql/types"
)

// splitAt splits the ranges of a table or index where given values of its
// first key columns would stand. It takes effect at once.
func (env *Env) splitAt(ctx context.Context, s *parser.SplitAt) error {
	var t *catalog.Table
	var ix *catalog.Index
	var err error
	if s.Index {
		t, ix, err = env.Catalog.Index(ctx, nameOf(s.Table))
		if err == nil && t == nil {
			err = env.at(catalog.UndefinedTable(nameOf(s.Table)), s.Table.Position)
		}
		if err != nil {
			return err
		}
		if err := env.requireOwner(ctx, t); err != nil {
			return err
		}
	} else {
		if t, err = env.findTable(ctx, s.Table, false); err != nil {
			return err
		}
		ix = &t.Primary
	}
	if env.Catalog.Created(t.ID) {
		return pgerror.New(pgerror.ObjectNotInPrerequisiteState, "cannot split a table in the transaction that creates it")
	}
	layout := rowenc.NewLayout(t, ix)
	c := env.planContext(ctx)
	for _, row := range s.Rows {
		if len(row) == 0 || len(row) > len(ix.Columns) {
			return pgerror.Newf(pgerror.Syntax, "SPLIT AT needs between 1 and %d values", len(ix.Columns))
		}
		values := make([]types.Datum, len(row))
		for i, e := range row {
			value, _, err := opt.BindTableExpression(c, nil, e, t.Column(ix.Columns[i].Column).Type, "SPLIT AT")
			if err != nil {
				return err
			}
			if values[i], err = env.evaluate(ctx, value); err != nil {
				return err
			}
		}
		key, _, err := layout.AppendPartialKey(nil, values)
		if err != nil {
			return err
		}
		_, err = env.DB.NonTransactional().Send(ctx, &kvpb.BatchRequest{
			Requests: []kvpb.Request{{Kind: kvpb.AdminSplit, Key: key, Admin: &kvpb.AdminArgs{SplitKey: key}}}})
		if err != nil {
			return err
		}
	}
	return nil
}
