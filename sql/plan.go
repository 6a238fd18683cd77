package sql

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/exec"
	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/parser/postgres"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// cachedPlan is a plan with what it was made under. It is immutable.
type cachedPlan struct {
	plan   *opt.Plan
	tables []*catalog.Table
	// names is where the session's names led to, settings the values of
	// plan.Settings.
	names    planNames
	settings []string
}

// planNames are the parts of a session that decide what names mean.
type planNames struct{ database, user, searchPath string }

// prepared is a statement of one session: named, unnamed, or of a simple
// query's text that came again.
type prepared struct {
	name       string
	text       string // the text that the statement's positions refer to
	statement  parser.Statement
	declared   []*types.T // parameter types as the client gave them
	parameters []*types.T
	columns    []opt.ResultColumn // nil: returns no rows
	// checked: parameters and columns are known.
	checked bool

	cached     *cachedPlan
	executable *exec.Prepared // of cached
	busy       bool           // a portal runs executable
}

// planned reports whether the statement is one that opt plans.
func (p *prepared) planned() bool { return isPlanned(p.statement.AST) }

func isPlanned(n parser.Node) bool {
	switch n.(type) {
	case *parser.Select, *parser.SetOperation, *parser.Values, *parser.Insert, *parser.Update, *parser.Delete:
		return true
	}
	return false
}

// recorder is a resolver that notes which tables a plan is made with.
type recorder struct {
	catalog.Resolver
	tables []*catalog.Table
	// uncommitted: one of them was changed by this transaction.
	uncommitted bool
}

func (r *recorder) note(d catalog.Relation) {
	if d == nil {
		return
	}
	if d.Head().Uncommitted {
		r.uncommitted = true
	}
	if t, ok := d.(*catalog.Table); ok && t != nil && !t.IsVirtual() && !slices.Contains(r.tables, t) {
		r.tables = append(r.tables, t)
	}
}

func (r *recorder) Relation(ctx context.Context, name catalog.Name) (catalog.Relation, error) {
	d, err := r.Resolver.Relation(ctx, name)
	if err == nil {
		r.note(d)
	}
	return d, err
}

func (r *recorder) RelationByID(ctx context.Context, id catalog.ID) (catalog.Relation, error) {
	d, err := r.Resolver.RelationByID(ctx, id)
	if err == nil {
		r.note(d)
	}
	return d, err
}

func (r *recorder) TableByID(ctx context.Context, id catalog.ID) (*catalog.Table, error) {
	t, err := r.Resolver.TableByID(ctx, id)
	if err == nil && t != nil {
		r.note(t)
	}
	return t, err
}

// planContext is what opt needs to plan a statement of this session.
func (s *Session) planContext(ctx context.Context, resolver catalog.Resolver, text string, parameters []*types.T) *opt.Context {
	return &opt.Context{Ctx: ctx, Resolver: resolver, Types: &s.types, ParseStatement: postgres.Parse, ParseExpression: s.server.texts.expression, ParameterTypes: parameters, Text: text,
		RowCount: s.server.statistics.count}
}

// buildPlan plans a tree.
func (s *Session) buildPlan(ctx context.Context, n parser.Node, text string, parameters []*types.T) (*cachedPlan, error) {
	s.open()
	r := &recorder{Resolver: s.tx.catalog}
	plan, err := opt.Build(s.planContext(ctx, r, text, parameters), n)
	if err != nil {
		return nil, err
	}
	c := &cachedPlan{plan: plan, tables: r.tables, names: s.planNames()}
	for _, name := range plan.Settings {
		c.settings = append(c.settings, s.settingValue(name))
	}
	if r.uncommitted {
		copied := *plan
		copied.Epoch = 0
		c.plan = &copied
	}
	return c, nil
}

func (s *Session) settingValue(name string) string {
	g, err := findSetting(name)
	if err != nil {
		return ""
	}
	return s.current.get(g)
}

func (s *Session) planNames() planNames {
	return planNames{database: s.request.Database, user: s.CurrentUser(), searchPath: s.current.get(searchPathSetting)}
}

// usable reports whether a plan holds for the session as it is.
func (s *Session) usable(c *cachedPlan) bool {
	if c == nil || c.plan.Epoch == 0 || c.plan.Epoch != s.tx.catalog.Epoch() {
		return false
	}
	if len(c.plan.Settings) > 0 {
		for i, name := range c.plan.Settings {
			if s.settingValue(name) != c.settings[i] {
				return false
			}
		}
	}
	return s.appliedNames == c.names
}

// currentPlan makes sure that p has a plan that holds now.
func (s *Session) currentPlan(ctx context.Context, p *prepared) error {
	s.open()
	if s.usable(p.cached) {
		if ok, err := s.tx.catalog.UsesCached(ctx, p.cached.tables); ok || err != nil {
			return err
		}
	}
	key := planKey{text: p.statement.Text, names: s.appliedNames, types: typesKey(p.declared)}
	if c := s.server.plans.get(key); c != nil && s.usable(c) {
		if ok, err := s.tx.catalog.UsesCached(ctx, c.tables); err != nil {
			return err
		} else if ok {
			return s.adopt(p, c)
		}
	}
	types := p.declared
	if p.checked {
		types = p.parameters
	}
	c, err := s.buildPlan(ctx, p.statement.AST, p.text, types)
	if err != nil {
		return err
	}
	if c.plan.Epoch != 0 && len(p.statement.Text) <= maxCachedText {
		s.server.plans.put(key, c)
	}
	return s.adopt(p, c)
}

// adopt makes c the plan of p.
func (s *Session) adopt(p *prepared, c *cachedPlan) error {
	columns := resultColumns(c.plan)
	if p.checked && !sameColumns(p.columns, columns) {
		return pgerror.New(pgerror.FeatureNotSupported, "cached plan must not change result type")
	}
	p.parameters, p.columns, p.checked = c.plan.Parameters, columns, true
	if p.cached == nil || p.cached.plan != c.plan {
		p.executable = nil
		p.busy = false
	}
	p.cached = c
	return nil
}

// resultColumns are the columns that the client sees, nil if there are no rows.
func resultColumns(p *opt.Plan) []opt.ResultColumn {
	if len(p.Columns) == 0 && p.Tag != opt.TagSelect {
		return nil
	}
	if p.Columns == nil {
		return []opt.ResultColumn{}
	}
	return p.Columns
}

func sameColumns(a, b []opt.ResultColumn) bool {
	return slices.EqualFunc(a, b, func(a, b opt.ResultColumn) bool { return a.Name == b.Name && a.Type.Equal(b.Type) })
}

func typesKey(list []*types.T) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	for _, t := range list {
		if t != nil {
			b.WriteString(t.Name)
		}
		b.WriteByte(',')
	}
	return b.String()
}

// planKey says for which statements a plan is.
type planKey struct {
	text  string
	names planNames
	types string
}

const (
	maxCachedPlans = 4096
	maxCachedTexts = 4096
	maxCachedText  = 16 << 10 // bytes
)

// planCache holds plans for all sessions of the node. When it is full, some
// that were not asked for lately make room.
type planCache struct {
	mu    sync.Mutex // guards plans
	plans map[planKey]*planEntry
}

type planEntry struct {
	cached *cachedPlan
	used   bool
}

func newPlanCache() *planCache { return &planCache{plans: make(map[planKey]*planEntry)} }

func (c *planCache) get(k planKey) *cachedPlan {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.plans[k]
	if e == nil {
		return nil
	}
	e.used = true
	return e.cached
}

func (c *planCache) put(k planKey, p *cachedPlan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.plans) >= maxCachedPlans {
		evict(c.plans, func(e *planEntry) bool { used := e.used; e.used = false; return used })
	}
	c.plans[k] = &planEntry{cached: p}
}

// evict removes an eighth of a map's entries, sparing those that used reports
// (in the random order of maps), as far as there are others.
func evict[K comparable, E any](m map[K]E, used func(E) bool) {
	target := len(m) - len(m)/8
	for range 2 {
		for k, e := range m {
			if len(m) <= target {
				return
			}
			if !used(e) {
				delete(m, k)
			}
		}
	}
}

// textCache holds syntax trees by their text.
type textCache struct {
	mu          sync.Mutex // guards the maps
	statements  map[string]*textEntry
	expressions map[string]parser.Expression
}

type textEntry struct {
	list []parser.Statement
	used bool
}

func newTextCache() *textCache {
	return &textCache{statements: make(map[string]*textEntry), expressions: make(map[string]parser.Expression)}
}

// parse returns a text's statements; again: it was asked for before.
func (c *textCache) parse(text string) (list []parser.Statement, again bool, err error) {
	if len(text) > maxCachedText {
		list, err = postgres.Parse(text)
		return list, false, err
	}
	c.mu.Lock()
	e := c.statements[text]
	if e != nil {
		e.used = true
	}
	c.mu.Unlock()
	if e != nil {
		return e.list, true, nil
	}
	if list, err = postgres.Parse(text); err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.statements) >= maxCachedTexts {
		evict(c.statements, func(e *textEntry) bool { used := e.used; e.used = false; return used })
	}
	c.statements[text] = &textEntry{list: list}
	return list, false, nil
}

// expression parses an expression, as the catalog stores defaults and checks.
func (c *textCache) expression(text string) (parser.Expression, error) {
	c.mu.Lock()
	e := c.expressions[text]
	c.mu.Unlock()
	if e != nil {
		return e, nil
	}
	list, err := postgres.Parse("SELECT " + text)
	if err != nil {
		return nil, err
	}
	if len(list) == 1 {
		if q, ok := list[0].AST.(*parser.Select); ok && len(q.Targets) == 1 {
			e = q.Targets[0].Expression
		}
	}
	if e == nil {
		return nil, pgerror.Newf(pgerror.Syntax, "\"%s\" is not an expression", text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.expressions) >= maxCachedTexts {
		clear(c.expressions)
	}
	c.expressions[text] = e
	return e, nil
}

// maxSessionTexts bounds the texts that a session keeps statements of.
const maxSessionTexts = 256

// statementsOf returns the statements of a simple query. For a text that came
// before they are those of that time, with their plans.
func (s *Session) statementsOf(text string) ([]*prepared, error) {
	if list, ok := s.texts[text]; ok && !slices.ContainsFunc(list, func(p *prepared) bool { return p.busy }) {
		return list, nil
	}
	parsed, again, err := s.server.texts.parse(text)
	if err != nil {
		return nil, err
	}
	list := make([]*prepared, 0, len(parsed))
	for _, st := range parsed {
		if st.AST == nil {
			continue
		}
		list = append(list, &prepared{text: text, statement: st})
	}
	if again {
		if len(s.texts) >= maxSessionTexts {
			clear(s.texts)
		}
		s.texts[text] = list
	}
	return list, nil
}
