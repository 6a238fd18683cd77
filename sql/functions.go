package sql

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// What follows makes a Session the types.SessionFunctions of its expressions:
// sequences, settings, the connection. The objects' part is in objects.go.

func (s *Session) sequence(ctx context.Context, id types.OID) (*catalog.Sequence, error) {
	s.open()
	r, err := s.tx.catalog.RelationByID(ctx, catalog.ID(id))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, pgerror.Newf(pgerror.UndefinedTable, "relation with OID %d does not exist", id)
	}
	q, ok := r.(*catalog.Sequence)
	if !ok {
		return nil, pgerror.Newf(pgerror.WrongObjectType, "\"%s\" is not a sequence", r.Head().Name)
	}
	return q, nil
}

// NextValue implements types.SessionFunctions.
func (s *Session) NextValue(ctx context.Context, sequence types.OID) (int64, error) {
	q, err := s.sequence(ctx, sequence)
	if err != nil {
		return 0, err
	}
	if err := s.checkWritable("nextval()"); err != nil {
		return 0, err
	}
	return s.sequences.Next(ctx, q)
}

// CurrentValue implements types.SessionFunctions.
func (s *Session) CurrentValue(ctx context.Context, sequence types.OID) (int64, error) {
	q, err := s.sequence(ctx, sequence)
	if err != nil {
		return 0, err
	}
	return s.sequences.Current(q)
}

// SetValue implements types.SessionFunctions.
func (s *Session) SetValue(ctx context.Context, sequence types.OID, value int64, called bool) error {
	q, err := s.sequence(ctx, sequence)
	if err != nil {
		return err
	}
	if err := s.checkWritable("setval()"); err != nil {
		return err
	}
	return s.sequences.Set(ctx, q, value, called)
}

// LastValue implements types.SessionFunctions.
func (s *Session) LastValue(context.Context) (int64, error) { return s.sequences.Last() }

// SequenceParameters implements types.SessionFunctions.
func (s *Session) SequenceParameters(ctx context.Context, sequence types.OID) (types.SequenceParameters, error) {
	q, err := s.sequence(ctx, sequence)
	if err != nil {
		return types.SequenceParameters{}, err
	}
	return types.SequenceParameters{Start: q.Start, Minimum: q.Min, Maximum: q.Max, Increment: q.Increment, Cache: q.Cache, Cycle: q.Cycle, Type: q.Type.OID}, nil
}

// LastSequenceValue implements types.SessionFunctions.
func (s *Session) LastSequenceValue(ctx context.Context, sequence types.OID) (int64, bool, error) {
	q, err := s.sequence(ctx, sequence)
	if err != nil {
		return 0, false, err
	}
	return s.sequences.Stored(ctx, q)
}

// Setting implements types.SessionFunctions.
func (s *Session) Setting(_ context.Context, name string) (string, bool) {
	g, err := s.showSetting(name)
	if err != nil {
		return "", false
	}
	return s.show(g), true
}

// SetSetting implements types.SessionFunctions.
func (s *Session) SetSetting(_ context.Context, name, value string, local bool) (string, error) {
	g, err := findSetting(name)
	if err != nil {
		if !isCustomSetting(name) {
			return "", err
		}
		g = &setting{name: name, kind: "string", context: "user"}
	}
	return s.assign(g, value, local)
}

// CurrentUser implements types.SessionFunctions.
func (s *Session) CurrentUser() string {
	if role := s.current.values["role"]; role != "" && role != "none" {
		return role
	}
	return s.SessionUser()
}

// SessionUser implements types.SessionFunctions.
func (s *Session) SessionUser() string {
	if user := s.current.values["session_authorization"]; user != "" {
		return user
	}
	return s.request.User
}

// CurrentDatabase implements types.SessionFunctions.
func (s *Session) CurrentDatabase() string { return s.request.Database }

// SearchPath implements types.SessionFunctions.
func (s *Session) SearchPath(ctx context.Context, withImplicit bool) ([]string, error) {
	s.open()
	schemas, err := s.tx.catalog.SearchPath(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(schemas))
	for _, schema := range schemas {
		if !withImplicit && schema.Name == catalog.PgCatalogSchemaName && !slices.Contains(s.current.searchPath, catalog.PgCatalogSchemaName) {
			continue
		}
		list = append(list, schema.Name)
	}
	return list, nil
}

// BackendPID implements types.SessionFunctions.
func (s *Session) BackendPID() int32 { return s.pid }

// Version implements types.SessionFunctions.
func (s *Session) Version() string {
	return "PostgreSQL " + PostgresVersion + " (Cairn " + s.server.config.Version + ") on " + runtime.GOARCH + "-" + runtime.GOOS + ", compiled by " + runtime.Version() + ", 64-bit"
}

// ServerStartTime implements types.SessionFunctions.
func (s *Session) ServerStartTime() int64 { return s.server.started }

// SettingsLoadTime implements types.SessionFunctions.
func (s *Session) SettingsLoadTime() int64 { return s.server.started }

// ClientAddress implements types.SessionFunctions.
func (s *Session) ClientAddress() netip.AddrPort { return s.request.ClientAddress }

// ServerAddress implements types.SessionFunctions.
func (s *Session) ServerAddress() netip.AddrPort { return s.request.ServerAddress }

// CurrentQuery implements types.SessionFunctions.
func (s *Session) CurrentQuery() string { return s.query }

// TransactionID implements types.SessionFunctions.
func (s *Session) TransactionID(context.Context) (uint64, error) {
	s.open()
	if s.tx.number == 0 {
		// Numbers rise within a node, and its place in the number makes them the
		// cluster's.
		s.tx.number = (uint64(s.server.started)>>20+s.server.numbers.Add(1))<<11 | uint64(s.server.config.Node)&0x7ff
	}
	return s.tx.number, nil
}

// TransactionIDIfAssigned implements types.SessionFunctions.
func (s *Session) TransactionIDIfAssigned(context.Context) (uint64, bool, error) {
	return s.tx.number, s.tx.number != 0, nil
}

// CancelBackend implements types.SessionFunctions.
func (s *Session) CancelBackend(_ context.Context, pid int32) (bool, error) {
	o, err := s.controlled(pid, "cancel query")
	if o == nil || err != nil {
		return false, err
	}
	o.Cancel()
	return true, nil
}

// TerminateBackend implements types.SessionFunctions.
func (s *Session) TerminateBackend(_ context.Context, pid int32) (bool, error) {
	o, err := s.controlled(pid, "terminate process")
	if o == nil || err != nil {
		return false, err
	}
	o.Terminate(pgerror.New(pgerror.AdminShutdown, "terminating connection due to administrator command"))
	o.client.Interrupt()
	return true, nil
}

// controlled finds another session that this one may end.
func (s *Session) controlled(pid int32, what string) (*Session, error) {
	o := s.server.session(pid)
	if o == nil {
		return nil, nil
	}
	if s.current.values["is_superuser"] != "on" && o.request.User != s.request.User {
		return nil, pgerror.Newf(pgerror.InsufficientPrivilege, "must be a member of the role whose query is being canceled or member of pg_signal_backend").WithDetail("It was asked to %s %d.", what, pid)
	}
	return o, nil
}

// Notice implements types.SessionFunctions.
func (s *Session) Notice(severity, code, message string) {
	s.notice(severity, pgerror.New(code, message))
}

// isMember reports whether a role is, directly or not, a member of another.
func (s *Session) isMember(ctx context.Context, role *catalog.Role, of string) (bool, error) {
	seen := map[string]bool{}
	queue := []*catalog.Role{role}
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		if r == nil || seen[r.Name] {
			continue
		}
		if r.Name == of {
			return true, nil
		}
		seen[r.Name] = true
		for _, name := range r.MemberOf {
			next, err := s.tx.catalog.RoleNamed(ctx, name)
			if err != nil {
				return false, err
			}
			queue = append(queue, next)
		}
	}
	return false, nil
}

// splitQualified reads a name as the reg* types do: parts with dots between,
// quoted where needed.
func splitQualified(text string) ([]string, bool) {
	var parts []string
	rest := strings.TrimSpace(text)
	for {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for {
				i := strings.IndexByte(rest[end:], '"')
				if i < 0 {
					return nil, false
				}
				end += i + 1
				if end >= len(rest) || rest[end] != '"' {
					break
				}
				end++
			}
			part, rest = strings.ReplaceAll(rest[1:end-1], `""`, `"`), rest[end:]
		} else {
			end := strings.IndexAny(rest, ". \t\n")
			if end < 0 {
				end = len(rest)
			}
			part, rest = lower(rest[:end]), rest[end:]
		}
		if part == "" {
			return nil, false
		}
		parts = append(parts, part)
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return parts, true
		}
		if rest[0] != '.' {
			return nil, false
		}
		rest = strings.TrimSpace(rest[1:])
	}
}
