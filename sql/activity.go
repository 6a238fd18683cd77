package sql

import (
	"github.com/cairndb/cairn/sql/catalog"
)

var _ catalog.SessionState = (*Session)(nil)

// Settings implements catalog.SessionState: the rows of pg_settings.
func (s *Session) Settings() []catalog.Setting {
	list := make([]catalog.Setting, 0, len(settingList))
	for _, g := range settingList {
		if g.hidden {
			continue
		}
		source := "default"
		if v := s.current.get(g); v != g.standard {
			source = "session"
			if s.initial != nil && v == s.initial.get(g) {
				source = "client"
			}
		}
		list = append(list, catalog.Setting{Name: g.name, Value: g.plain(s.show(g)), Unit: g.unit, Category: g.category, Description: g.description, Context: g.context, VarType: g.kind,
			Source: source, Default: g.plain(g.standard)})
	}
	return list
}

// plain is a value without its unit, as pg_settings shows it.
func (g *setting) plain(value string) string {
	if g.unit == "" || g.kind != "integer" {
		return value
	}
	n, err := g.readNumber(value)
	if err != nil {
		return value
	}
	return formatUnits(roundToEven(n), "")
}

// Activity implements catalog.SessionState: the rows of pg_stat_activity, for
// this node.
func (s *Session) Activity() []catalog.Activity {
	var list []catalog.Activity
	for _, o := range s.server.allSessions() {
		list = append(list, o.activity())
	}
	return list
}

func (s *Session) activity() catalog.Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := catalog.Activity{PID: s.pid, Database: s.request.Database, User: s.request.User, ApplicationName: s.shownName, State: s.state, Query: s.shownQuery,
		BackendStart: s.backendStart, QueryStart: s.queryStart, XactStart: s.xactStart, StateChange: s.stateChange}
	if s.request.ClientAddress.IsValid() {
		a.ClientAddress, a.ClientPort = s.request.ClientAddress.Addr().String(), int32(s.request.ClientAddress.Port())
	}
	return a
}
