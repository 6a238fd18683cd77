package schemachange

import (
	"context"
	"strings"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
)

func (env *Env) createSchema(ctx context.Context, s *parser.CreateSchema) error {
	if s.Name == "" {
		s = &parser.CreateSchema{Name: s.Authorization, IfNotExists: s.IfNotExists, Authorization: s.Authorization, Elements: s.Elements}
	}
	database := env.Catalog.CurrentDatabase()
	if err := env.requireOwner(ctx, database); err != nil {
		return pgerror.Newf(pgerror.InsufficientPrivilege, "permission denied for database %s", database.Name)
	}
	if reservedSchema(s.Name) {
		return pgerror.Newf(pgerror.ReservedName, "unacceptable schema name %q", s.Name).WithDetail("The prefix \"pg_\" is reserved for system schemas.")
	}
	owner, err := env.ownerOf(ctx, s.Authorization)
	if err != nil {
		return err
	}
	old, err := env.Catalog.SchemaNamed(ctx, s.Name)
	if err != nil {
		return err
	}
	if old != nil {
		if s.IfNotExists {
			env.notice(pgerror.DuplicateSchema, "schema %q already exists, skipping", s.Name)
			return nil
		}
		return pgerror.Newf(pgerror.DuplicateSchema, "schema %q already exists", s.Name)
	}
	if err := env.Catalog.Create(ctx, &catalog.Schema{Header: catalog.Header{Name: s.Name, Owner: owner}, Database: database.ID}); err != nil {
		return err
	}
	if len(s.Elements) == 0 {
		return nil
	}
	names := env.Catalog.Names()
	inner := names
	inner.SearchPath = append([]string{s.Name}, names.SearchPath...)
	env.Catalog.SetNames(inner)
	defer env.Catalog.SetNames(names)
	for _, e := range s.Elements {
		if _, err := Execute(ctx, env, e); err != nil {
			return err
		}
	}
	return nil
}

func reservedSchema(name string) bool {
	return strings.HasPrefix(name, "pg_") || name == catalog.InformationSchemaName
}

// ownerOf returns the role that is to own something: the user for "".
func (env *Env) ownerOf(ctx context.Context, name string) (string, error) {
	switch name {
	case "", "current_user", "current_role", "session_user":
		return env.User, nil
	}
	r, err := env.Catalog.RoleNamed(ctx, name)
	if err != nil {
		return "", err
	}
	if r == nil {
		return "", pgerror.Newf(pgerror.UndefinedObject, "role %q does not exist", name)
	}
	member, err := env.isMember(ctx, env.User, name)
	if err == nil && !member {
		err = pgerror.Newf(pgerror.InsufficientPrivilege, "must be member of role %q", name)
	}
	return name, err
}

func (env *Env) createDatabase(ctx context.Context, s *parser.CreateDatabase) error {
	if !env.AutoCommit {
		return pgerror.New(pgerror.ActiveSQLTransaction, "CREATE DATABASE cannot run inside a transaction block")
	}
	r, err := env.Catalog.RoleNamed(ctx, env.User)
	if err != nil {
		return err
	}
	if r == nil || !r.Superuser && !r.CreateDB {
		return pgerror.New(pgerror.InsufficientPrivilege, "permission denied to create database")
	}
	owner := env.User
	for _, o := range s.Options {
		value := o.Value
		switch o.Name {
		case "owner":
			if owner, err = env.ownerOf(ctx, value); err != nil {
				return err
			}
		case "encoding":
			if e := strings.ToLower(strings.ReplaceAll(value, "-", "")); e != "utf8" && e != "unicode" && e != "6" && e != "1" {
				return env.at(pgerror.Unsupported("database encoding "+value), o.Position)
			}
		case "template":
			if value != "template0" && value != "template1" && value != "default" && value != "" {
				return env.at(pgerror.Unsupported("CREATE DATABASE … TEMPLATE "+value), o.Position)
			}
		case "lc_collate", "lc_ctype", "locale":
			if value != "C" && value != "POSIX" && !strings.HasPrefix(value, "C.") {
				return env.at(pgerror.Unsupported("locale \""+value+"\""), o.Position)
			}
		case "connection_limit":
			if value != "-1" {
				return env.at(pgerror.Unsupported("CONNECTION LIMIT of databases"), o.Position)
			}
		case "tablespace":
			if err := checkTablespace(value); err != nil {
				return err
			}
		default:
			return env.at(pgerror.Unsupported("CREATE DATABASE … "+strings.ToUpper(o.Name)), o.Position)
		}
	}
	old, err := env.Catalog.DatabaseNamed(ctx, s.Name)
	if err != nil {
		return err
	}
	if old != nil {
		return pgerror.Newf(pgerror.DuplicateDatabase, "database %q already exists", s.Name)
	}
	d := &catalog.Database{Header: catalog.Header{Name: s.Name, Owner: owner}}
	if err := env.Catalog.Create(ctx, d); err != nil {
		return err
	}
	return env.Catalog.Create(ctx, &catalog.Schema{Header: catalog.Header{Name: catalog.PublicSchemaName, Owner: catalog.DatabaseOwnerRoleName, Comment: "standard public schema"}, Database: d.ID})
}

func (env *Env) dropDatabase(ctx context.Context, s *parser.DropDatabase) error {
	if !env.AutoCommit {
		return pgerror.New(pgerror.ActiveSQLTransaction, "DROP DATABASE cannot run inside a transaction block")
	}
	d, err := env.Catalog.DatabaseNamed(ctx, s.Name)
	if err != nil {
		return err
	}
	if d == nil {
		if s.IfExists {
			env.notice(pgerror.SuccessfulCompletion, "database %q does not exist, skipping", s.Name)
			return nil
		}
		return pgerror.Newf(pgerror.InvalidCatalogName, "database %q does not exist", s.Name)
	}
	if err := env.requireOwner(ctx, d); err != nil {
		return err
	}
	if d.Name == env.Catalog.Names().Database {
		return pgerror.New(pgerror.ObjectInUse, "cannot drop the currently open database")
	}
	all, err := env.Catalog.EveryDescriptor(ctx)
	if err != nil {
		return err
	}
	r := env.newRemoval()
	for _, descriptor := range all {
		switch o := descriptor.(type) {
		case *catalog.Schema:
			if o.Database == d.ID {
				r.schemas = append(r.schemas, o)
			}
		case *catalog.Table:
			if o.Database == d.ID {
				r.add(o)
			}
		case *catalog.View:
			if o.Database == d.ID {
				r.add(o)
			}
		case *catalog.Sequence:
			if o.Database == d.ID {
				r.add(o)
			}
		}
	}
	if err := r.remove(ctx); err != nil {
		return err
	}
	return env.Catalog.Drop(ctx, d)
}
