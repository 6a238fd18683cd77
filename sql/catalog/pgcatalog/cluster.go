package pgcatalog

import (
	"math"
	"slices"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/catalog/systemtable"
	"github.com/cairndb/cairn/sql/types"
)

// clusterTables are about what belongs to no database, and about the running
// server.
var clusterTables = map[string]systemtable.Definition{
	"pg_database": {
		Columns: `oid datname datdba encoding datlocprovider datistemplate datallowconn datconnlimit dattablespace datcollate datctype`,
		Rows:    databaseRows,
	},
	"pg_authid": {Columns: "oid rolname rolsuper rolinherit rolcreaterole rolcreatedb rolcanlogin rolreplication rolbypassrls rolconnlimit rolpassword",
		Rows: authidRows},
	"pg_roles": {Columns: "rolname rolsuper rolinherit rolcreaterole rolcreatedb rolcanlogin rolreplication rolconnlimit rolpassword rolbypassrls oid",
		Rows: rolesRows},
	"pg_user": {Columns: "usename usesysid usecreatedb usesuper userepl usebypassrls passwd", Rows: func(s *systemtable.Scan) error {
		return userRows(s, func(*catalog.Role) string { return "********" })
	}},
	"pg_shadow": {Columns: "usename usesysid usecreatedb usesuper userepl usebypassrls passwd", Rows: func(s *systemtable.Scan) error {
		return userRows(s, func(r *catalog.Role) string { return r.Password })
	}},
	"pg_group":         {Columns: "groname grosysid grolist", Rows: groupRows},
	"pg_auth_members":  {Columns: "roleid member grantor admin_option", Rows: memberRows},
	"pg_shdescription": {Columns: "objoid classoid description", Rows: sharedDescriptionRows},
	"pg_tablespace":    {Columns: "oid spcname spcowner", Rows: tablespaceRows},
	"pg_settings": {Columns: `name setting unit category short_desc context vartype source boot_val reset_val pending_restart`,
		Rows: settingRows},
	"pg_stat_activity": {
		Columns: `datid datname pid usesysid usename application_name client_addr client_port backend_start xact_start query_start state_change
			state query backend_type`,
		Rows: activityRows,
	},
}

func databaseRows(s *systemtable.Scan) error {
	owners, err := roleIDs(s)
	if err != nil {
		return err
	}
	databases, err := s.Resolver.Databases(s.Ctx)
	if err != nil {
		return err
	}
	const utf8 = 6
	for _, d := range databases {
		s.Emit(systemtable.ID(d.ID), types.String(d.Name), systemtable.ID(owners[d.Owner]), types.Int(utf8), char('c'), types.Bool(false), types.Bool(true), types.Int(-1),
			types.Int(defaultTablespace), types.String("C"), types.String("C"))
	}
	return nil
}

func authidRows(s *systemtable.Scan) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		s.Emit(systemtable.ID(r.ID), types.String(r.Name), types.Bool(r.Superuser), types.Bool(r.Inherit), types.Bool(r.CreateRole), types.Bool(r.CreateDB), types.Bool(r.Login),
			types.Bool(r.Superuser), types.Bool(r.Superuser), types.Int(connectionLimit(r)), systemtable.TextOrNull(r.Password))
	}
	return nil
}

// connectionLimit returns rolconnlimit: -1 for none.
func connectionLimit(r *catalog.Role) int64 {
	if r.ConnLimit == 0 {
		return -1
	}
	return int64(r.ConnLimit)
}

func rolesRows(s *systemtable.Scan) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		s.Emit(types.String(r.Name), types.Bool(r.Superuser), types.Bool(r.Inherit), types.Bool(r.CreateRole), types.Bool(r.CreateDB), types.Bool(r.Login), types.Bool(r.Superuser),
			types.Int(connectionLimit(r)), types.String("********"), types.Bool(r.Superuser), systemtable.ID(r.ID))
	}
	return nil
}

func userRows(s *systemtable.Scan, password func(*catalog.Role) string) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if r.Login {
			s.Emit(types.String(r.Name), systemtable.ID(r.ID), types.Bool(r.CreateDB), types.Bool(r.Superuser), types.Bool(r.Superuser), types.Bool(r.Superuser), systemtable.TextOrNull(password(r)))
		}
	}
	return nil
}

func groupRows(s *systemtable.Scan) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, g := range roles {
		if g.Login {
			continue
		}
		var members []catalog.ID
		for _, r := range roles {
			if slices.Contains(r.MemberOf, g.Name) {
				members = append(members, r.ID)
			}
		}
		s.Emit(types.String(g.Name), systemtable.ID(g.ID), systemtable.Integers(types.ArrayTypeOf(types.OIDType), members))
	}
	return nil
}

func memberRows(s *systemtable.Scan) error {
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	ids, err := roleIDs(s)
	if err != nil {
		return err
	}
	for _, r := range roles {
		for _, g := range r.MemberOf {
			s.Emit(systemtable.ID(ids[g]), systemtable.ID(r.ID), systemtable.ID(catalog.BootstrapSuperuserID), types.Bool(false))
		}
	}
	return nil
}

func sharedDescriptionRows(s *systemtable.Scan) error {
	databases, err := s.Resolver.Databases(s.Ctx)
	if err != nil {
		return err
	}
	for _, d := range databases {
		if d.Comment != "" {
			s.Emit(systemtable.ID(d.ID), systemtable.ID(pgDatabaseOID), types.String(d.Comment))
		}
	}
	roles, err := s.Resolver.Roles(s.Ctx)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if r.Comment != "" {
			s.Emit(systemtable.ID(r.ID), systemtable.ID(pgAuthidOID), types.String(r.Comment))
		}
	}
	return nil
}

func tablespaceRows(s *systemtable.Scan) error {
	s.Emit(types.Int(defaultTablespace), types.String("pg_default"), systemtable.ID(catalog.BootstrapSuperuserID))
	s.Emit(types.Int(globalTablespace), types.String("pg_global"), systemtable.ID(catalog.BootstrapSuperuserID))
	return nil
}

func settingRows(s *systemtable.Scan) error {
	if s.Session == nil {
		return nil
	}
	for _, x := range s.Session.Settings() {
		s.Emit(types.String(x.Name), types.String(x.Value), systemtable.TextOrNull(x.Unit), types.String(x.Category), types.String(x.Description), types.String(x.Context),
			types.String(x.VarType), types.String(x.Source), types.String(x.Default), types.String(x.Default), types.Bool(false))
	}
	return nil
}

func activityRows(s *systemtable.Scan) error {
	if s.Session == nil {
		return nil
	}
	databases, err := s.Resolver.Databases(s.Ctx)
	if err != nil {
		return err
	}
	users, err := roleIDs(s)
	if err != nil {
		return err
	}
	ids := map[string]catalog.ID{}
	for _, d := range databases {
		ids[d.Name] = d.ID
	}
	moment := func(t int64) types.Datum {
		if t == math.MinInt64 {
			return types.DNull
		}
		return types.Int(t)
	}
	for _, a := range s.Session.Activity() {
		s.Emit(systemtable.ID(ids[a.Database]), types.String(a.Database), types.Int(int64(a.PID)), systemtable.ID(users[a.User]), types.String(a.User), types.String(a.ApplicationName),
			systemtable.TextOrNull(a.ClientAddress), types.Int(int64(a.ClientPort)), moment(a.BackendStart), moment(a.XactStart), moment(a.QueryStart), moment(a.StateChange),
			types.String(a.State), types.String(a.Query), types.String("client backend"))
	}
	return nil
}
