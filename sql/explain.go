package sql

import (
	"context"
	"time"

	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

var explainColumns = []opt.ResultColumn{textColumn("QUERY PLAN")}

// explainOptions reads EXPLAIN's options.
func explainOptions(list []parser.Option, text string) (o opt.ExplainOptions, err error) {
	o.Costs, o.Timing = true, true
	summary := false
	for _, w := range list {
		on := true
		if w.HasValue && w.Name != "format" {
			var ok bool
			if on, ok = parseBool(w.Value); !ok {
				return o, pgerror.Newf(pgerror.Syntax, "%s requires a Boolean value", w.Name)
			}
		}
		switch w.Name {
		case "analyze":
			o.Analyze = on
		case "verbose":
			o.Verbose = on
		case "costs":
			o.Costs = on
		case "timing":
			o.Timing = on
		case "summary":
			o.Summary, summary = on, true
		case "buffers", "wal", "settings":
			// They add lines about things that Cairn has not.
		case "format":
			switch lower(w.Value) {
			case "text":
			case "json":
				o.JSON = true
			case "xml", "yaml":
				return o, pgerror.Unsupported("EXPLAIN (FORMAT " + w.Value + ")")
			default:
				return o, pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized value for EXPLAIN option \"%s\": \"%s\"", w.Name, w.Value).
					WithPosition(parser.Character(text, w.Position))
			}
		default:
			return o, pgerror.Newf(pgerror.Syntax, "unrecognized EXPLAIN option \"%s\"", w.Name).WithPosition(parser.Character(text, w.Position))
		}
	}
	if !summary {
		o.Summary = o.Analyze
	}
	return o, nil
}

// runExplain is EXPLAIN.
func (s *Session) runExplain(ctx context.Context, n *parser.Explain, p *prepared, parameters []types.Datum, out *output) error {
	options, err := explainOptions(n.Options, p.text)
	if err != nil {
		return err
	}
	statement := n.Statement
	declared := p.declared
	if e, ok := statement.(*parser.Execute); ok {
		q := s.prepared[e.Name]
		if q == nil {
			return undefinedStatement(e.Name)
		}
		statement, declared, parameters = q.statement.AST, q.parameters, nil
		if len(e.Arguments) != len(q.parameters) {
			return pgerror.Newf(pgerror.Syntax, "wrong number of parameters for prepared statement \"%s\"", e.Name)
		}
		for i, a := range e.Arguments {
			d, err := s.evaluate(ctx, a, q.parameters[i])
			if err != nil {
				return err
			}
			parameters = append(parameters, d)
		}
	}
	if c, ok := statement.(*parser.DeclareCursor); ok {
		statement = c.Query
	}
	if c, ok := statement.(*parser.CreateTable); ok && c.As != nil && !options.Analyze {
		statement = c.As
	}
	if !isPlanned(statement) {
		return pgerror.Unsupported("EXPLAIN of this statement")
	}
	began := time.Now()
	c, err := s.buildPlan(ctx, statement, p.text, declared)
	if err != nil {
		return err
	}
	options.Planning = time.Since(began)
	var stats func(opt.Node) *opt.ActualStats
	if options.Analyze {
		if stats, err = s.measure(ctx, c.plan, parameters, &options); err != nil {
			return err
		}
	}
	var rows [][]types.Datum
	for _, line := range opt.Explain(c.plan, options, stats) {
		rows = append(rows, []types.Datum{types.String(line)})
	}
	columns := explainColumns
	if options.JSON {
		columns = []opt.ResultColumn{{Name: "QUERY PLAN", Type: types.JSON}}
	}
	out.columns(columns)
	return out.rows(columns, rows)
}

// measure runs a plan and keeps what its nodes did.
func (s *Session) measure(ctx context.Context, plan *opt.Plan, parameters []types.Datum, o *opt.ExplainOptions) (func(opt.Node) *opt.ActualStats, error) {
	if s.tx.readOnly && !plan.ReadOnly {
		return nil, s.checkWritable(tagNames[plan.Tag])
	}
	s.tx.kv.Step()
	s.tx.statements++
	env := &exec.Env{Parameters: parameters, Statistics: true}
	s.fillEnv(env)
	began := time.Now()
	q, err := exec.Build(ctx, env, plan)
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }()
	if _, err := q.Run(ctx); err != nil {
		return nil, err
	}
	o.Execution = time.Since(began)
	return q.Actual, nil
}
