package opt

import (
	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/types"
)

func (p *queryPrinter) from(list []parser.TableExpression) {
	for i, item := range list {
		if i == 0 {
			p.keyword(" FROM ", -indentClause, indentClause, 2)
		} else {
			p.text(", ")
			p.keyword("", -indentClause, indentClause, indentColumn)
		}
		p.table(item)
	}
}

func (p *queryPrinter) alias(a *parser.Alias) {
	if a == nil {
		return
	}
	p.text(" " + types.QuoteIdentifier(a.Name))
	if len(a.Columns) > 0 {
		p.text("(" + quoteAll(a.Columns) + ")")
	}
}

func (p *queryPrinter) table(e parser.TableExpression) {
	switch x := e.(type) {
	case *parser.TableReference:
		p.text(p.relationName(p.trace.relations[x].relation, x.Name))
		p.alias(x.Alias)
	case *parser.SubqueryReference:
		if x.Lateral {
			p.text("LATERAL ")
		}
		p.text("(")
		if p.query(x.Query, nil, true) != nil {
			return
		}
		p.text(")")
		p.alias(x.Alias)
	case *parser.FunctionReference:
		p.functions(x)
	case *parser.Join:
		p.join(x)
	}
}

// relationName prints a relation's name, qualified where it must be.
func (p *queryPrinter) relationName(r catalog.Relation, name string) string {
	if r == nil {
		return types.QuoteIdentifier(name)
	}
	name = types.QuoteIdentifier(r.Head().Name)
	schema := p.binder.schemaName(r, "")
	if p.qualify {
		return types.QuoteIdentifier(schema) + "." + name
	}
	found, err := p.binder.c.Resolver.Relation(p.binder.ctx, catalog.Name{Object: r.Head().Name})
	if err == nil && found != nil && found.Head().ID == r.Head().ID {
		return name
	}
	return types.QuoteIdentifier(schema) + "." + name
}

func (p *queryPrinter) functions(x *parser.FunctionReference) {
	if x.Lateral {
		p.text("LATERAL ")
	}
	traced := p.trace.relations[x]
	several := x.RowsFrom || len(traced.sets) > 1
	if several {
		p.text("ROWS FROM(")
	}
	for i, f := range traced.functions {
		if i > 0 {
			p.text(", ")
		}
		set := traced.sets[i]
		if set.Scalar != nil {
			p.expression(set.Scalar, true)
		} else {
			p.function(&Call{Function: set.Function, Arguments: set.Arguments})
		}
		if len(f.Columns) > 0 {
			p.definitions(" AS ", f.Columns)
		}
	}
	if several {
		p.text(")")
	}
	if x.Ordinality {
		p.text(" WITH ORDINALITY")
	}
	name := traced.columns
	if len(name) == 0 {
		return
	}
	p.text(" " + types.QuoteIdentifier(name[0]))
	if len(x.Columns) > 0 {
		p.definitions("", x.Columns)
	} else {
		p.text("(" + quoteAll(name[1:]) + ")")
	}
}

func (p *queryPrinter) definitions(before string, list []parser.ColumnDefinitionItem) {
	p.text(before + "(")
	for i, c := range list {
		if i > 0 {
			p.text(", ")
		}
		t, err := p.binder.typeName(c.Type)
		if err != nil {
			p.err = err
			return
		}
		p.text(types.QuoteIdentifier(c.Name) + " " + t.String())
	}
	p.text(")")
}

func (p *queryPrinter) join(x *parser.Join) {
	if !p.pretty || x.Alias != nil {
		p.text("(")
	}
	p.table(x.Left)
	word := [...]string{" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN "}[x.Kind]
	using := x.Using
	if x.Natural {
		using = p.trace.relations[x].columns
	}
	if x.Kind == parser.InnerJoin && x.On == nil && len(using) == 0 {
		word = " CROSS JOIN "
	}
	p.keyword(word, -indentClause, indentClause, indentJoin)
	_, nested := x.Right.(*parser.Join)
	if nested && p.pretty {
		p.text("(")
	}
	p.table(x.Right)
	if nested && p.pretty {
		p.text(")")
	}
	switch {
	case len(using) > 0:
		p.text(" USING (" + quoteAll(using) + ")")
		if x.UsingAlias != "" {
			p.text(" AS " + types.QuoteIdentifier(x.UsingAlias))
		}
	case x.On != nil:
		p.text(" ON ")
		p.open()
		p.expression(p.trace.scalars[x.On], false)
		p.close()
	case x.Kind != parser.InnerJoin:
		p.text(" ON TRUE")
	}
	if !p.pretty || x.Alias != nil {
		p.text(")")
	}
	p.alias(x.Alias)
}
