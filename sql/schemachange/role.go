package schemachange

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

// requireCreateRole fails with 42501 unless the user may make roles.
func (env *Env) requireCreateRole(ctx context.Context) error {
	r, err := env.Catalog.RoleNamed(ctx, env.User)
	if err == nil && (r == nil || !r.Superuser && !r.CreateRole) {
		err = pgerror.New(pgerror.InsufficientPrivilege, "permission denied")
	}
	return err
}

func (env *Env) roleNamed(ctx context.Context, name string) (*catalog.Role, error) {
	switch name {
	case "current_user", "current_role", "session_user":
		name = env.User
	}
	r, err := env.Catalog.RoleNamed(ctx, name)
	if err == nil && r == nil {
		err = pgerror.Newf(pgerror.UndefinedObject, "role %q does not exist", name)
	}
	return r, err
}

func (env *Env) createRole(ctx context.Context, s *parser.CreateRole) error {
	if env.requireCreateRole(ctx) != nil {
		return pgerror.New(pgerror.InsufficientPrivilege, "permission denied to create role")
	}
	if strings.HasPrefix(s.Name, "pg_") {
		return pgerror.Newf(pgerror.ReservedName, "role name %q is reserved", s.Name).WithDetail("Role names starting with \"pg_\" are reserved.")
	}
	if s.Name == "public" || s.Name == "none" {
		return pgerror.Newf(pgerror.ReservedName, "role name %q is reserved", s.Name)
	}
	old, err := env.Catalog.RoleNamed(ctx, s.Name)
	if err != nil {
		return err
	}
	if old != nil {
		return pgerror.Newf(pgerror.DuplicateObject, "role %q already exists", s.Name)
	}
	r := &catalog.Role{Header: catalog.Header{Name: s.Name}, Inherit: true, Login: s.User, ConnLimit: -1}
	members, err := env.roleOptions(ctx, r, s.Options)
	if err != nil {
		return err
	}
	if err := env.Catalog.Create(ctx, r); err != nil {
		return err
	}
	for _, m := range members {
		if _, err := env.changeMembership(ctx, m, s.Name, false); err != nil {
			return err
		}
	}
	return nil
}

func (env *Env) alterRole(ctx context.Context, s *parser.AlterRole) error {
	if s.Set != nil {
		return pgerror.Unsupported("ALTER ROLE … SET")
	}
	r, err := env.roleNamed(ctx, s.Name)
	if err != nil {
		return err
	}
	superuser, err := env.isSuperuser(ctx)
	if err != nil {
		return err
	}
	onlyPassword := !slices.ContainsFunc(s.Options, func(o parser.Option) bool { return o.Name != "password" })
	if !superuser && (r.Superuser || env.requireCreateRole(ctx) != nil && (r.Name != env.User || !onlyPassword)) {
		return pgerror.New(pgerror.InsufficientPrivilege, "permission denied")
	}
	n := catalog.Clone(r)
	members, err := env.roleOptions(ctx, n, s.Options)
	if err != nil {
		return err
	}
	if err := env.Catalog.Write(ctx, n); err != nil {
		return err
	}
	for _, m := range members {
		if _, err := env.changeMembership(ctx, m, r.Name, false); err != nil {
			return err
		}
	}
	return nil
}

// roleOptions applies the options of CREATE and ALTER ROLE; it returns the
// roles that are to become members.
func (env *Env) roleOptions(ctx context.Context, r *catalog.Role, options []parser.Option) (members []string, err error) {
	superuser, err := env.isSuperuser(ctx)
	if err != nil {
		return nil, err
	}
	yes := func(o parser.Option) bool { return o.Value != "false" && o.Value != "0" }
	for _, o := range options {
		switch o.Name {
		case "superuser":
			if yes(o) && !superuser {
				return nil, pgerror.New(pgerror.InsufficientPrivilege, "must be superuser to create superusers")
			}
			r.Superuser = yes(o)
		case "createdb":
			r.CreateDB = yes(o)
		case "createrole":
			r.CreateRole = yes(o)
		case "canlogin":
			r.Login = yes(o)
		case "inherit":
			r.Inherit = yes(o)
		case "connectionlimit":
			n, err := strconv.ParseInt(o.Value, 10, 32)
			if err != nil || n < -1 {
				return nil, pgerror.Newf(pgerror.InvalidParameterValue, "invalid connection limit: %s", o.Value)
			}
			if n != -1 {
				return nil, env.at(pgerror.Unsupported("CONNECTION LIMIT of roles"), o.Position)
			}
			r.ConnLimit = int32(n)
		case "password":
			if !o.HasValue {
				r.Password = ""
				continue
			}
			if r.Password, err = passwordVerifier(o.Value); err != nil {
				return nil, err
			}
		case "rolemembers", "adminmembers":
			members = append(members, o.List...)
		case "addroleto":
			for _, name := range o.List {
				if _, err := env.roleNamed(ctx, name); err != nil {
					return nil, err
				}
				if !slices.Contains(r.MemberOf, name) {
					r.MemberOf = append(r.MemberOf, name)
				}
			}
		default:
			return nil, env.at(pgerror.Unsupported("role option "+strings.ToUpper(o.Name)), o.Position)
		}
	}
	return members, nil
}

// passwordVerifier returns what is stored of a password: SCRAM-SHA-256
// verifiers (RFC 5802, as pg_authid has them) stay as they are.
func passwordVerifier(password string) (string, error) {
	if strings.HasPrefix(password, "SCRAM-SHA-256$") {
		return password, nil
	}
	if strings.HasPrefix(password, "md5") && len(password) == 35 {
		return "", pgerror.Unsupported("a password in MD5 form")
	}
	if password == "" {
		return "", nil
	}
	const iterations = 4096
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}

func (env *Env) dropRole(ctx context.Context, s *parser.DropRole) error {
	if env.requireCreateRole(ctx) != nil {
		return pgerror.New(pgerror.InsufficientPrivilege, "permission denied to drop role")
	}
	for _, name := range s.Names {
		r, err := env.Catalog.RoleNamed(ctx, name)
		if err != nil {
			return err
		}
		if r == nil {
			if !s.IfExists {
				return pgerror.Newf(pgerror.UndefinedObject, "role %q does not exist", name)
			}
			env.notice(pgerror.SuccessfulCompletion, "role %q does not exist, skipping", name)
			continue
		}
		if name == env.User {
			return pgerror.New(pgerror.ObjectInUse, "current user cannot be dropped")
		}
		if r.ID == catalog.BootstrapSuperuserID {
			return pgerror.Newf(pgerror.DependentObjectsStillExist, "cannot drop role %s because it is required by the database system", name)
		}
		if superuser, err := env.isSuperuser(ctx); err != nil {
			return err
		} else if r.Superuser && !superuser {
			return pgerror.New(pgerror.InsufficientPrivilege, "must be superuser to drop superusers")
		}
		all, err := env.Catalog.EveryDescriptor(ctx)
		if err != nil {
			return err
		}
		var owned []string
		for _, d := range all {
			if d.Head().Owner == name {
				owned = append(owned, "owner of "+env.describe(ctx, d))
			}
		}
		if len(owned) > 0 {
			return pgerror.Newf(pgerror.DependentObjectsStillExist, "role %q cannot be dropped because some objects depend on it", name).WithDetail("%s", limited(owned))
		}
		if err := env.changeMembers(ctx, name, func(m *catalog.Role, at int) { m.MemberOf = slices.Delete(m.MemberOf, at, at+1) }); err != nil {
			return err
		}
		if err := env.Catalog.Drop(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// changeMembers changes the membership in a role of all that are members.
func (env *Env) changeMembers(ctx context.Context, of string, change func(m *catalog.Role, at int)) error {
	roles, err := env.Catalog.Roles(ctx)
	if err != nil {
		return err
	}
	for _, m := range roles {
		if at := slices.Index(m.MemberOf, of); at >= 0 {
			n := catalog.Clone(m)
			change(n, at)
			if err := env.Catalog.Write(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (env *Env) renameRole(ctx context.Context, s *parser.Rename) error {
	r, err := env.roleNamed(ctx, s.Table.Name)
	if err != nil {
		return err
	}
	if err := env.requireCreateRole(ctx); err != nil {
		return err
	}
	if r.Name == env.User {
		return pgerror.New(pgerror.FeatureNotSupported, "session user cannot be renamed")
	}
	if r.ID == catalog.BootstrapSuperuserID || strings.HasPrefix(s.NewName, "pg_") {
		return pgerror.Newf(pgerror.ReservedName, "role name %q is reserved", s.NewName)
	}
	all, err := env.Catalog.EveryDescriptor(ctx)
	if err != nil {
		return err
	}
	if err := env.Catalog.Rename(ctx, catalog.Clone(r), s.NewName, 0); err != nil {
		return err
	}
	for _, d := range all {
		if d.Head().Owner != r.Name {
			continue
		}
		if err := env.setOwner(ctx, d, s.NewName); err != nil {
			return err
		}
	}
	return env.changeMembers(ctx, r.Name, func(m *catalog.Role, at int) { m.MemberOf[at] = s.NewName })
}

// setOwner stores another owner of anything; running transactions don't mind.
func (env *Env) setOwner(ctx context.Context, d catalog.Descriptor, owner string) error {
	if r, ok := d.(catalog.Relation); ok {
		return env.commentRelation(ctx, r, func(n catalog.Descriptor) error { n.Head().Owner = owner; return nil })
	}
	n := catalog.Clone(d)
	n.Head().Owner = owner
	return env.Catalog.Write(ctx, n)
}

// changeMembership makes a role a member of another, or no longer one; false
// if it was that already.
func (env *Env) changeMembership(ctx context.Context, member, of string, revoke bool) (bool, error) {
	m, err := env.roleNamed(ctx, member)
	if err != nil {
		return false, err
	}
	at := slices.Index(m.MemberOf, of)
	if (at >= 0) != revoke {
		return false, nil
	}
	n := catalog.Clone(m)
	if revoke {
		n.MemberOf = slices.Delete(n.MemberOf, at, at+1)
		return true, env.Catalog.Write(ctx, n)
	}
	if member == of {
		return false, pgerror.Newf(pgerror.InvalidGrantOperation, "role %q is a member of role %q", of, member)
	}
	// A member by right of being superuser doesn't count.
	pending, seen := []string{of}, map[string]bool{}
	for len(pending) > 0 {
		name := pending[0]
		pending = pending[1:]
		if name == member {
			return false, pgerror.Newf(pgerror.InvalidGrantOperation, "role %q is a member of role %q", of, member)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if r, err := env.Catalog.RoleNamed(ctx, name); err != nil {
			return false, err
		} else if r != nil {
			pending = append(pending, r.MemberOf...)
		}
	}
	n.MemberOf = append(n.MemberOf, of)
	return true, env.Catalog.Write(ctx, n)
}

func (env *Env) grantRole(ctx context.Context, s *parser.GrantRole) (string, error) {
	tag := "GRANT ROLE"
	if s.Revoke {
		tag = "REVOKE ROLE"
	}
	if s.Admin {
		return "", pgerror.Unsupported("WITH ADMIN OPTION")
	}
	for _, granted := range s.Granted {
		of, err := env.roleNamed(ctx, granted)
		if err != nil {
			return "", err
		}
		superuser, err := env.isSuperuser(ctx)
		if err != nil {
			return "", err
		}
		if !superuser && (of.Superuser || env.requireCreateRole(ctx) != nil) {
			return "", pgerror.Newf(pgerror.InsufficientPrivilege, "must have admin option on role %q", of.Name)
		}
		for _, member := range s.Roles {
			m, err := env.roleNamed(ctx, member)
			if err != nil {
				return "", err
			}
			changed, err := env.changeMembership(ctx, m.Name, of.Name, s.Revoke)
			if err != nil {
				return "", err
			}
			if !changed && !s.Revoke {
				env.notice(pgerror.SuccessfulCompletion, "role %q is already a member of role %q", m.Name, of.Name)
			} else if !changed {
				env.warning(pgerror.Warning, "role %q is not a member of role %q", m.Name, of.Name)
			}
		}
	}
	return tag, nil
}

// grant refuses privileges on objects: Cairn does not enforce them yet, and a
// privilege that means nothing is worse than none.
func (env *Env) grant(_ context.Context, s *parser.Grant) (string, error) {
	what := "GRANT"
	if s.Revoke {
		what = "REVOKE"
	}
	return "", pgerror.Unsupported(what + " of privileges on objects").
		WithHint("Objects belong to their owner, members of the owner and superusers; GRANT role TO role works.")
}
