package sql

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/opt"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

var searchPathSetting = &setting{name: "search_path", standard: `"$user", public`}

// isCustomSetting reports whether a name is one of an extension or an
// application: two or more parts.
func isCustomSetting(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return false
	}
	for _, p := range parts {
		if p == "" {
			return false
		}
	}
	return true
}

// settable refuses settings that sessions can't change.
func (g *setting) settable() error {
	switch g.context {
	case "internal":
		return pgerror.Newf(pgerror.CantChangeRuntimeParam, "parameter \"%s\" cannot be changed", g.name)
	case "postmaster":
		return pgerror.Newf(pgerror.CantChangeRuntimeParam, "parameter \"%s\" cannot be changed without restarting the server", g.name)
	case "sighup":
		return pgerror.Newf(pgerror.CantChangeRuntimeParam, "parameter \"%s\" cannot be changed now", g.name)
	case "backend", "superuser-backend":
		return pgerror.Newf(pgerror.CantChangeRuntimeParam, "parameter \"%s\" cannot be set after connection start", g.name)
	}
	return nil
}

// runSet runs SET and RESET.
func (s *Session) runSet(n *parser.Set) (tag string, err error) {
	tag = "SET"
	if n.Reset {
		tag = "RESET"
	}
	if n.Modes != nil {
		return tag, s.runSetModes(n)
	}
	if n.All {
		return tag, s.resetAll()
	}
	g, err := findSetting(n.Name)
	if err != nil {
		if !isCustomSetting(n.Name) {
			return "", err
		}
		g = &setting{name: n.Name, kind: "string", context: "user"}
	}
	if n.Local && s.tx.state != inBlock && !s.tx.several {
		s.notice("WARNING", pgerror.New(pgerror.NoActiveSQLTransaction, "SET LOCAL can only be used in transaction blocks"))
	}
	if n.ToDefault {
		return tag, s.resetSetting(g, n.Local)
	}
	text, err := settingText(g, n.Values)
	if err != nil {
		return "", err
	}
	_, err = s.assign(g, text, n.Local)
	return tag, err
}

func (s *Session) runSetModes(n *parser.Set) error {
	if !n.Session {
		if s.tx.state != inBlock && !s.tx.several {
			s.notice("WARNING", pgerror.New(pgerror.NoActiveSQLTransaction, "SET TRANSACTION can only be used in transaction blocks"))
			return nil
		}
		return s.setModes(n.Modes)
	}
	m := n.Modes
	if m.Isolation != "" {
		s.put(settingTable["default_transaction_isolation"], m.Isolation, false)
	}
	if m.ReadOnly != nil {
		s.put(settingTable["default_transaction_read_only"], onOff(*m.ReadOnly), false)
	}
	if m.Deferrable != nil {
		s.put(settingTable["default_transaction_deferrable"], onOff(*m.Deferrable), false)
	}
	return nil
}

// assign gives a setting a value and returns it as SHOW prints it.
func (s *Session) assign(g *setting, text string, local bool) (string, error) {
	switch g.name {
	case "transaction_isolation":
		value, err := g.canonical(text)
		if err != nil {
			return "", err
		}
		return value, s.setModes(&parser.TransactionModes{Isolation: value})
	case "transaction_read_only", "transaction_deferrable":
		on, ok := parseBool(text)
		if !ok {
			_, err := g.canonical(text)
			return "", err
		}
		if g.name == "transaction_read_only" {
			return onOff(on), s.setModes(&parser.TransactionModes{ReadOnly: &on})
		}
		return onOff(on), s.setModes(&parser.TransactionModes{Deferrable: &on})
	case "session_authorization", "role":
		return text, s.setRole(g, text, local)
	case "seed":
		return "", pgerror.Unsupported("SET SEED")
	}
	if err := g.settable(); err != nil {
		return "", err
	}
	value, err := g.canonical(text)
	if err != nil {
		return "", err
	}
	s.put(g, value, local)
	return value, nil
}

// setRole is SET ROLE and SET SESSION AUTHORIZATION.
func (s *Session) setRole(g *setting, name string, local bool) error {
	if name == "none" && g.name == "role" {
		s.put(g, "none", local)
		return nil
	}
	s.open()
	role, err := s.tx.catalog.RoleNamed(s.types.Ctx, name)
	if err != nil {
		return err
	}
	if role == nil {
		return pgerror.Newf(pgerror.InvalidParameterValue, "role \"%s\" does not exist", name)
	}
	own, err := s.tx.catalog.RoleNamed(s.types.Ctx, s.request.User)
	if err != nil {
		return err
	}
	if name != s.request.User && (own == nil || !own.Superuser) {
		member := false
		if own != nil && g.name == "role" {
			if member, err = s.isMember(s.types.Ctx, own, name); err != nil {
				return err
			}
		}
		if !member {
			return pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied to set %s \"%s\"", strings.ReplaceAll(g.name, "_", " "), name)
		}
	}
	s.put(g, name, local)
	if g.name == "session_authorization" {
		s.put(settingTable["role"], "none", local)
	}
	s.put(settingTable["is_superuser"], onOff(role.Superuser), local)
	return nil
}

// put stores a value that is canonical.
func (s *Session) put(g *setting, value string, local bool) {
	if local {
		s.current = s.current.with(g, value)
	} else if s.current == s.lasting {
		s.lasting = s.lasting.with(g, value)
		s.current = s.lasting
	} else {
		s.lasting = s.lasting.with(g, value)
		s.current = s.current.with(g, value)
	}
	s.applySettings()
}

// resetSetting returns a setting to what it was when the session began.
func (s *Session) resetSetting(g *setting, local bool) error {
	switch g.name {
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		return pgerror.Newf(pgerror.FeatureNotSupported, "parameter \"%s\" cannot be reset", g.name)
	case "session_authorization":
		s.put(settingTable["role"], "none", local)
	}
	if err := g.settable(); err != nil {
		return err
	}
	s.put(g, s.initial.get(g), local)
	return nil
}

// resetAll is RESET ALL. Who the session is stays.
func (s *Session) resetAll() error {
	next := s.initial
	for _, name := range []string{"session_authorization", "role", "is_superuser"} {
		g := settingTable[name]
		if v := s.current.get(g); v != next.get(g) {
			next = next.with(g, v)
		}
	}
	s.lasting, s.current = next, next
	s.applySettings()
	return nil
}

// applySettings carries the settings in force to where they work.
func (s *Session) applySettings() {
	v := s.current
	if s.appliedTo == v {
		return
	}
	s.appliedTo = v
	t := &s.types
	t.Location, t.DateStyle, t.DateOrder, t.IntervalStyle, t.ExtraFloatDigits, t.ByteaEscape = v.location, v.dateStyle, v.dateOrder, v.intervalStyle, v.extraFloatDigits, v.byteaEscape
	s.appliedNames = s.planNames()
	if s.tx.catalog != nil {
		s.tx.catalog.SetNames(s.names())
	}
}

// show returns a setting as SHOW prints it.
func (s *Session) show(g *setting) string {
	modes := s.tx.state != idle
	switch g.name {
	case "transaction_isolation":
		if modes {
			return s.tx.isolation
		}
		return s.current.isolation
	case "transaction_read_only":
		if modes {
			return onOff(s.tx.readOnly)
		}
		return onOff(s.current.readOnly)
	case "transaction_deferrable":
		if modes {
			return onOff(s.tx.deferrable)
		}
		return onOff(s.current.deferrable)
	case "server_version":
		return PostgresVersion
	case "port":
		if p := s.request.ServerAddress.Port(); p != 0 {
			return strconv.Itoa(int(p))
		}
	}
	return s.current.get(g)
}

// showName finds what SHOW names; special spellings come as their settings.
func (s *Session) showSetting(name string) (*setting, error) {
	g, err := findSetting(name)
	if err == nil {
		return g, nil
	}
	if _, ok := s.current.values[lower(name)]; ok {
		return &setting{name: name, kind: "string", context: "user"}, nil
	}
	return nil, err
}

func (s *Session) showColumns(name string) ([]opt.ResultColumn, error) {
	if name == "all" {
		return []opt.ResultColumn{textColumn("name"), textColumn("setting"), textColumn("description")}, nil
	}
	g, err := s.showSetting(name)
	if err != nil {
		return nil, err
	}
	return []opt.ResultColumn{textColumn(g.name)}, nil
}

// runShow runs SHOW.
func (s *Session) runShow(n *parser.Show, out *output) error {
	columns, err := s.showColumns(n.Name)
	if err != nil {
		return err
	}
	var rows [][]types.Datum
	if n.Name == "all" {
		for _, g := range settingList {
			if g.hidden {
				continue
			}
			rows = append(rows, []types.Datum{types.String(g.name), types.String(s.show(g)), types.String(g.description)})
		}
	} else {
		g, err := s.showSetting(n.Name)
		if err != nil {
			return err
		}
		rows = [][]types.Datum{{types.String(s.show(g))}}
	}
	out.columns(columns)
	return out.rows(columns, rows)
}

// runDiscard is DISCARD.
func (s *Session) runDiscard(target string) (string, error) {
	switch target {
	case "all":
		if err := s.forbidBlock("DISCARD ALL"); err != nil {
			return "", err
		}
		s.closePortals(func(*portal) bool { return true })
		s.put(settingTable["session_authorization"], s.request.User, false)
		s.put(settingTable["role"], "none", false)
		s.put(settingTable["is_superuser"], s.initial.get(settingTable["is_superuser"]), false)
		if err := s.resetAll(); err != nil {
			return "", err
		}
		clear(s.prepared)
		clear(s.texts)
		s.sequences.Discard()
		return "DISCARD ALL", nil
	case "plans":
		for _, p := range s.prepared {
			if !p.busy {
				p.cached, p.executable = nil, nil
			}
		}
		clear(s.texts)
		return "DISCARD PLANS", nil
	case "sequences":
		s.sequences.Discard()
		return "DISCARD SEQUENCES", nil
	default:
		return "DISCARD TEMP", nil
	}
}
