package sql

import (
	"context"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/types"
)

// Expression implements types.SessionFunctions. What the system catalogs yield
// as an expression is its SQL text.
func (s *Session) Expression(ctx context.Context, stored string, relation types.OID, pretty bool) (string, bool, error) {
	s.open()
	var table *catalog.Table
	if relation != 0 {
		r, err := s.tx.catalog.RelationByID(ctx, catalog.ID(relation))
		if err != nil {
			return "", false, err
		}
		table, _ = r.(*catalog.Table)
	}
	text, err := s.deparsed(ctx, stored, table, pretty)
	return text, err == nil, err
}

// deparsed prints an expression of the catalog as it reads in this session:
// with names qualified only where they must be.
func (s *Session) deparsed(ctx context.Context, stored string, table *catalog.Table, pretty bool) (string, error) {
	e, err := s.server.texts.expression(stored)
	if err != nil {
		return stored, nil
	}
	scalar, _, err := opt.BindTableExpression(s.planContext(ctx, s.tx.catalog, stored, nil), table, e, nil, "expressions")
	if err != nil {
		return stored, nil
	}
	return opt.DeparseFor(&s.types, scalar, func(id opt.ColumnID) string {
		if table != nil {
			if c := table.Column(catalog.ColumnID(id)); c != nil {
				return types.QuoteIdentifier(c.Name)
			}
		}
		return "?column?"
	}, pretty), nil
}

func (s *Session) deparsedQuery(ctx context.Context, q parser.Query, columns []string) (string, error) {
	text, err := opt.DeparseQuery(s.planContext(ctx, s.tx.catalog, "", nil), q, false, columns...)
	return text + ";", err
}
