package functions

import (
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// privilegeFamily is a group of has_*_privilege functions.
type privilegeFamily struct {
	function string
	catalog  string
	// reg is the type through which a name is looked up, nil for those that are
	// known by OID only.
	reg        *types.T
	privileges string
}

var privilegeFamilies = []privilegeFamily{
	{"has_table_privilege", "pg_class", types.Regclass, "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER RULE"},
	{"has_any_column_privilege", "pg_class", types.Regclass, "SELECT INSERT UPDATE REFERENCES"},
	{"has_sequence_privilege", "pg_class", types.Regclass, "USAGE SELECT UPDATE"},
	{"has_schema_privilege", "pg_namespace", types.Regnamespace, "CREATE USAGE"},
	{"has_function_privilege", "pg_proc", types.Regprocedure, "EXECUTE"},
	{"has_type_privilege", "pg_type", types.Regtype, "USAGE"},
	{"has_database_privilege", "pg_database", nil, "CREATE TEMPORARY TEMP CONNECT"},
	{"has_language_privilege", "pg_language", nil, "USAGE"},
	{"has_tablespace_privilege", "pg_tablespace", nil, "CREATE"},
}

func definePrivileges(d definitions) {
	for _, family := range privilegeFamilies {
		for _, object := range []string{"text", "oid"} {
			if object == "text" && family.reg == nil && family.catalog != "pg_database" {
				continue
			}
			for _, role := range []string{"", "name,", "oid,"} {
				d.session(family.function+"("+role+object+",text)", family.check(role, object))
			}
		}
	}
	for _, object := range []string{"text", "oid"} {
		for _, column := range []string{"text", "int2"} {
			for _, role := range []string{"", "name,", "oid,"} {
				d.session("has_column_privilege("+role+object+","+column+",text)", columnPrivilege(role, object, column))
			}
		}
	}
	for _, member := range []string{"name", "oid"} {
		for _, role := range []string{"", "name,", "oid,"} {
			d.session("pg_has_role("+role+member+",text)", roleMembership(role, member))
		}
	}
	d.session("row_security_active(oid)", func(*types.Context, types.SessionFunctions, []types.Datum) (types.Datum, error) {
		return types.Bool(false), nil
	})
	d.session("row_security_active(text)", func(*types.Context, types.SessionFunctions, []types.Datum) (types.Datum, error) {
		return types.Bool(false), nil
	})
}

// roleArgument is the role that is asked about, and the arguments after it.
func roleArgument(ctx *types.Context, s types.SessionFunctions, kind string, a []types.Datum) (types.OID, []types.Datum, error) {
	if kind == "oid," {
		return types.OID(a[0].I), a[1:], nil
	}
	name, rest := s.CurrentUser(), a
	if kind != "" {
		name, rest = a[0].S, a[1:]
		if name == "public" {
			return 0, rest, nil
		}
	}
	role, err := roleNamed(ctx, s, name)
	return role, rest, err
}

func roleNamed(ctx *types.Context, s types.SessionFunctions, name string) (types.OID, error) {
	oid, found, err := s.RoleByName(ctx.Ctx, name)
	if err == nil && !found {
		err = pgerror.Newf(pgerror.UndefinedObject, "role \"%s\" does not exist", name)
	}
	return oid, err
}

// parsePrivileges reads a list like "SELECT, UPDATE WITH GRANT OPTION".
func parsePrivileges(check *types.PrivilegeCheck, list, allowed string) error {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		name := strings.ToUpper(item)
		grant := strings.HasSuffix(name, " WITH GRANT OPTION") || strings.HasSuffix(name, " WITH ADMIN OPTION")
		if grant {
			name = name[:len(name)-len(" WITH GRANT OPTION")]
		}
		found := false
		for p := range strings.FieldsSeq(allowed) {
			found = found || p == name
		}
		if !found {
			return pgerror.Newf(pgerror.InvalidParameterValue, "unrecognized privilege type: \"%s\"", item)
		}
		if name == "TEMP" {
			name = "TEMPORARY"
		}
		if name == "RULE" { // a privilege that there was once: nobody has it
			continue
		}
		check.Privileges, check.WithGrant = append(check.Privileges, name), append(check.WithGrant, grant)
	}
	return nil
}

func (f privilegeFamily) check(role, object string) sessionFunc {
	return func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		roleOID, rest, err := roleArgument(ctx, s, role, a)
		if err != nil {
			return types.DNull, err
		}
		check := types.PrivilegeCheck{Role: roleOID, Catalog: f.catalog}
		if f.function == "has_any_column_privilege" {
			check.Column = types.AnyColumn
		}
		if check.Object, err = f.object(ctx, s, object, rest[0]); err != nil {
			return types.DNull, err
		}
		if err := parsePrivileges(&check, rest[1].S, f.privileges); err != nil {
			return types.DNull, err
		}
		return privilegeAnswer(ctx, s, check)
	}
}

func privilegeAnswer(ctx *types.Context, s types.SessionFunctions, check types.PrivilegeCheck) (types.Datum, error) {
	has, exists, err := s.HasPrivilege(ctx.Ctx, check)
	if err != nil || !exists {
		return types.DNull, err
	}
	return types.Bool(has), nil
}

func (f privilegeFamily) object(ctx *types.Context, s types.SessionFunctions, kind string, v types.Datum) (types.OID, error) {
	if kind == "oid" {
		return types.OID(v.I), nil
	}
	if f.reg == nil {
		oid, found, err := s.DatabaseByName(ctx.Ctx, v.S)
		if err == nil && !found {
			err = pgerror.Newf(pgerror.InvalidCatalogName, "database \"%s\" does not exist", v.S)
		}
		return oid, err
	}
	oid, err := types.Parse(ctx, f.reg, v.S)
	return types.OID(oid.I), err
}

func columnPrivilege(role, object, column string) sessionFunc {
	table := privilegeFamilies[0]
	return func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		roleOID, rest, err := roleArgument(ctx, s, role, a)
		if err != nil {
			return types.DNull, err
		}
		check := types.PrivilegeCheck{Role: roleOID, Catalog: "pg_class"}
		if check.Object, err = table.object(ctx, s, object, rest[0]); err != nil {
			return types.DNull, err
		}
		if column == "int2" {
			check.Column = int32(rest[1].I)
		} else {
			check.ColumnName = rest[1].S
		}
		if err := parsePrivileges(&check, rest[2].S, "SELECT INSERT UPDATE REFERENCES"); err != nil {
			return types.DNull, err
		}
		return privilegeAnswer(ctx, s, check)
	}
}

func roleMembership(role, member string) sessionFunc {
	return func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		roleOID, rest, err := roleArgument(ctx, s, role, a)
		if err != nil {
			return types.DNull, err
		}
		check := types.PrivilegeCheck{Role: roleOID, Catalog: "pg_authid", Object: types.OID(rest[0].I)}
		if member == "name" {
			if check.Object, err = roleNamed(ctx, s, rest[0].S); err != nil {
				return types.DNull, err
			}
		}
		if err := parsePrivileges(&check, rest[1].S, "MEMBER USAGE"); err != nil {
			return types.DNull, err
		}
		return privilegeAnswer(ctx, s, check)
	}
}
