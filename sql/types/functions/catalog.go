package functions

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func defineCatalog(d definitions) {
	defineTypeFunctions(d)
	defineDefinitions(d)
	defineNames(d)
	defineComments(d)
	defineSizes(d)
	d.bind("num_nulls(any)", func([]*types.T, *types.T) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) { return types.Int(countNulls(a)), nil }
	})
	d.bind("num_nonnulls(any)", func([]*types.T, *types.T) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			return types.Int(int64(len(a)) - countNulls(a)), nil
		}
	})
}

func countNulls(a []types.Datum) int64 {
	n := int64(0)
	for _, v := range a {
		if v.Null {
			n++
		}
	}
	return n
}

func defineTypeFunctions(d definitions) {
	d.bind("pg_typeof(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		oid := types.Int(int64(args[0].OID))
		return func(*types.Context, []types.Datum) (types.Datum, error) { return oid, nil }
	})
	d.scalar("format_type(oid,int4)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		if a[0].Null {
			return types.DNull, nil
		}
		if a[0].I == 0 {
			return types.String("-"), nil
		}
		t, ok := types.ByOID(types.OID(a[0].I))
		if !ok {
			return types.String("???"), nil
		}
		if !a[1].Null && a[1].I >= 0 {
			t = t.WithTypmod(int32(a[1].I))
		} else if t.OID == types.BPCharOID && !a[1].Null {
			// A modifier of -1 was asked for: "character" would mean char(1).
			return types.String("bpchar"), nil
		}
		return types.String(t.String()), nil
	})
	d.scalar("oidvectortypes(oidvector)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		var names []string
		for _, e := range a[0].Array().Elems {
			name := "???"
			if t, ok := types.ByOID(types.OID(e.I)); ok {
				name = t.SQLName
			}
			names = append(names, name)
		}
		return types.String(strings.Join(names, ", ")), nil
	})
	d.bind("pg_column_size(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := args[0]
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			if t.Size > 0 {
				return types.Int(int64(t.Size)), nil
			}
			b, err := types.AppendBinary(nil, t, a[0])
			if err != nil {
				return types.DNull, err
			}
			if t.OID == types.NumericOID { // two bytes of header instead of the binary form's eight
				return types.Int(int64(len(b)) - 2), nil
			}
			return types.Int(int64(len(b)) + 4), nil
		}
	})
	d.bind("pg_collation_for(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
		t := args[0]
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			switch t.OID {
			case types.NameOID:
				return types.String(`"C"`), nil
			case types.TextOID, types.VarcharOID, types.BPCharOID, types.UnknownOID:
				return types.String(`"default"`), nil
			}
			return types.DNull, pgerror.Newf(pgerror.DatatypeMismatch, "collations are not supported by type %s", t.SQLName)
		}
	})
}

func defineDefinitions(d definitions) {
	definition := func(signature string, kind types.DefinitionKind, fill func(r *types.DefinitionRequest, a []types.Datum)) {
		d.session(signature, func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
			r := types.DefinitionRequest{Kind: kind, Object: types.OID(a[0].I), Wrap: -1}
			if fill != nil {
				fill(&r, a)
			}
			return textOrNull(s.Definition(ctx.Ctx, r))
		})
	}
	pretty := func(r *types.DefinitionRequest, a []types.Datum) { r.Pretty = a[1].Bool() }
	definition("pg_get_indexdef(oid)", types.IndexDefinition, nil)
	definition("pg_get_indexdef(oid,int4,bool)", types.IndexDefinition, func(r *types.DefinitionRequest, a []types.Datum) {
		r.Column, r.Pretty = int32(a[1].I), a[2].Bool()
	})
	definition("pg_get_viewdef(oid)", types.ViewDefinition, nil)
	definition("pg_get_viewdef(oid,bool)", types.ViewDefinition, pretty)
	definition("pg_get_viewdef(oid,int4)", types.ViewDefinition, func(r *types.DefinitionRequest, a []types.Datum) {
		r.Pretty, r.Wrap = true, int32(a[1].I)
	})
	for signature, prettily := range map[string]bool{"pg_get_viewdef(text)": false, "pg_get_viewdef(text,bool)": true} {
		d.session(signature, func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
			oid, found, err := s.ObjectByName(ctx.Ctx, types.Regclass, a[0].S)
			switch {
			case err != nil:
				return types.DNull, err
			case !found:
				return types.DNull, pgerror.Newf(pgerror.UndefinedTable, "relation \"%s\" does not exist", a[0].S)
			}
			r := types.DefinitionRequest{Kind: types.ViewDefinition, Object: oid, Wrap: -1, Pretty: prettily && a[1].Bool()}
			return textOrNull(s.Definition(ctx.Ctx, r))
		})
	}
	definition("pg_get_constraintdef(oid)", types.ConstraintDefinition, nil)
	definition("pg_get_constraintdef(oid,bool)", types.ConstraintDefinition, pretty)
	definition("pg_get_ruledef(oid)", types.RuleDefinition, nil)
	definition("pg_get_ruledef(oid,bool)", types.RuleDefinition, pretty)
	definition("pg_get_triggerdef(oid)", types.TriggerDefinition, nil)
	definition("pg_get_triggerdef(oid,bool)", types.TriggerDefinition, pretty)
	definition("pg_get_functiondef(oid)", types.FunctionDefinition, nil)
	definition("pg_get_partkeydef(oid)", types.PartitionKeyDefinition, nil)
	definition("pg_get_partition_constraintdef(oid)", types.PartitionConstraintDefinition, nil)
	definition("pg_get_statisticsobjdef(oid)", types.StatisticsDefinition, nil)
	definition("pg_get_statisticsobjdef_columns(oid)", types.StatisticsColumnsDefinition, nil)
	expression := func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		return textOrNull(s.Expression(ctx.Ctx, a[0].S, types.OID(a[1].I), len(a) > 2 && a[2].Bool()))
	}
	d.session("pg_get_expr(pg_node_tree,oid)", expression)
	d.session("pg_get_expr(pg_node_tree,oid,bool)", expression)
	d.session("pg_get_userbyid(oid)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		name, found, err := s.RoleName(ctx.Ctx, types.OID(a[0].I))
		if err == nil && !found {
			name = "unknown (OID=" + strconv.FormatInt(a[0].I, 10) + ")"
		}
		return types.String(name), err
	})
	defineFunctionDefinitions(d)
	null := func(*types.Context, []types.Datum) (types.Datum, error) { return types.DNull, nil }
	d.scalar("pg_get_function_sqlbody(oid)", null)
	d.scalar("pg_get_function_arg_default(oid,int4)", null)
	d.scalar("pg_get_replica_identity_index(regclass)", null)
	d.scalar("pg_relation_filepath(regclass)", null)
	d.scalar("pg_tablespace_location(oid)", func(*types.Context, []types.Datum) (types.Datum, error) { return types.String(""), nil })
	d.scalar("pg_relation_is_publishable(regclass)", func(*types.Context, []types.Datum) (types.Datum, error) { return types.Bool(true), nil })
	d.scalar("pg_relation_filenode(regclass)", func(_ *types.Context, a []types.Datum) (types.Datum, error) { return a[0], nil })
	empty := func(*types.Context, []types.Datum) (types.RowSource, error) { return &sliceRows{}, nil }
	d.rows("pg_options_to_table(_text)", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		rows := &sliceRows{}
		for _, e := range a[0].Array().Elems {
			name, value, found := strings.Cut(e.S, "=")
			row := []types.Datum{types.String(name), types.String(value)}
			if !found {
				row[1] = types.DNull
			}
			rows.rows = append(rows.rows, row)
		}
		return rows, nil
	})
	d.rows("pg_partition_ancestors(regclass)", func(*types.Context, []types.Datum) (types.RowSource, error) { return &valueRows{}, nil })
	for _, signature := range []string{"pg_get_publication_tables(text)", "pg_available_extensions()", "pg_available_extension_versions()",
		"pg_prepared_xact()"} {
		d.rows(signature, empty)
	}
	d.rows("pg_get_keywords()", keywordRows)
}

// keywordRows are PostgreSQL's keywords.
func keywordRows(*types.Context, []types.Datum) (types.RowSource, error) {
	rows := &sliceRows{}
	for _, k := range types.Keywords {
		rows.rows = append(rows.rows, []types.Datum{types.String(k.Word), types.String(k.Category), types.Bool(k.BareLabel), types.String(k.Description), types.String(k.LabelNote)})
	}
	return rows, nil
}

// defineFunctionDefinitions describes built-in functions.
func defineFunctionDefinitions(d definitions) {
	describe := func(f func(o *types.Overload) string) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			o, ok := types.FunctionByOID(types.OID(a[0].I))
			if !ok {
				return types.DNull, nil
			}
			return types.String(f(o)), nil
		}
	}
	arguments := func(o *types.Overload) string {
		parts := make([]string, len(o.Args))
		for i, t := range o.Args {
			if o.Variadic && i == len(o.Args)-1 {
				parts[i] = "VARIADIC "
			}
			if i < len(o.ArgNames) && o.ArgNames[i] != "" {
				parts[i] += types.QuoteIdentifier(o.ArgNames[i]) + " "
			}
			parts[i] += t.String()
			if t.OID == types.AnyOID {
				parts[i] = strings.TrimSuffix(parts[i], "any") + `"any"`
				parts[i] = strings.ReplaceAll(parts[i], `""any""`, `"any"`)
			}
		}
		return strings.Join(parts, ", ")
	}
	d.scalar("pg_get_function_arguments(oid)", describe(arguments))
	d.scalar("pg_get_function_identity_arguments(oid)", describe(arguments))
	d.scalar("pg_get_function_result(oid)", describe(func(o *types.Overload) string {
		if o.Kind == types.SetFunction {
			return "SETOF " + o.Return.String()
		}
		return o.Return.String()
	}))
}

// defineNames defines the look-ups by name and what is visible.
func defineNames(d definitions) {
	for name, reg := range map[string]*types.T{"to_regclass": types.Regclass, "to_regtype": types.Regtype, "to_regproc": types.Regproc,
		"to_regprocedure": types.Regprocedure, "to_regrole": types.Regrole, "to_regnamespace": types.Regnamespace,
		"to_regoper": types.Regoper, "to_regoperator": types.Regoperator, "to_regcollation": types.Regcollation} {
		d.scalar(name+"(text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			v, err := types.Parse(ctx, reg, a[0].S)
			switch pgerror.Code(err) {
			case pgerror.UndefinedTable, pgerror.UndefinedObject, pgerror.UndefinedFunction, pgerror.InvalidSchemaName, pgerror.AmbiguousFunction:
				if err != nil {
					return types.DNull, nil
				}
			}
			return v, err
		})
	}
	for name, catalog := range map[string]string{"pg_table_is_visible": "pg_class", "pg_type_is_visible": "pg_type", "pg_function_is_visible": "pg_proc",
		"pg_operator_is_visible": "pg_operator", "pg_opclass_is_visible": "pg_opclass", "pg_opfamily_is_visible": "pg_opfamily",
		"pg_collation_is_visible": "pg_collation", "pg_conversion_is_visible": "pg_conversion", "pg_statistics_obj_is_visible": "pg_statistic_ext",
		"pg_ts_config_is_visible": "pg_ts_config", "pg_ts_dict_is_visible": "pg_ts_dict", "pg_ts_parser_is_visible": "pg_ts_parser",
		"pg_ts_template_is_visible": "pg_ts_template"} {
		d.session(name+"(oid)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
			visible, exists, err := s.ObjectVisible(ctx.Ctx, catalog, types.OID(a[0].I))
			if err != nil || !exists {
				return types.DNull, err
			}
			return types.Bool(visible), nil
		})
	}
}

func defineComments(d definitions) {
	comment := func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		catalog := ""
		if len(a) > 1 {
			catalog = a[1].S
		}
		return textOrNull(s.Comment(ctx.Ctx, catalog, types.OID(a[0].I), 0))
	}
	d.session("obj_description(oid,name)", comment)
	d.session("obj_description(oid)", comment)
	d.session("shobj_description(oid,name)", comment)
	d.session("col_description(oid,int4)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		return textOrNull(s.Comment(ctx.Ctx, "pg_class", types.OID(a[0].I), int32(a[1].I)))
	})
}

func defineSizes(d definitions) {
	for signature, part := range map[string]types.SizePart{"pg_relation_size(regclass)": types.MainSize, "pg_table_size(regclass)": types.MainSize,
		"pg_indexes_size(regclass)": types.IndexesSize, "pg_total_relation_size(regclass)": types.TotalSize} {
		d.session(signature, relationSize(part))
	}
	main := relationSize(types.MainSize)
	d.session("pg_relation_size(regclass,text)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		switch a[1].S {
		case "main":
			return main(ctx, s, a)
		case "fsm", "vm", "init":
			return types.Int(0), nil
		}
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "invalid fork name").
			WithHint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")
	})
	d.session("pg_database_size(oid)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		size, ok, err := s.DatabaseSize(ctx.Ctx, types.OID(a[0].I))
		if err != nil || !ok {
			return types.DNull, err
		}
		return types.Int(size), nil
	})
	d.session("pg_database_size(name)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		oid, found, err := s.DatabaseByName(ctx.Ctx, a[0].S)
		if err == nil && !found {
			err = pgerror.Newf(pgerror.InvalidCatalogName, "database \"%s\" does not exist", a[0].S)
		}
		if err != nil {
			return types.DNull, err
		}
		size, _, err := s.DatabaseSize(ctx.Ctx, oid)
		return types.Int(size), err
	})
	d.scalar("pg_size_pretty(int8)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(prettySize(a[0].I)), nil
	})
	d.scalar("pg_size_pretty(numeric)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return types.String(prettyNumericSize(a[0].Decimal())), nil
	})
	d.scalar("pg_size_bytes(text)", sizeBytes)
}

func relationSize(part types.SizePart) sessionFunc {
	return func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		size, ok, err := s.RelationSize(ctx.Ctx, types.OID(a[0].I), part)
		if err != nil || !ok {
			return types.DNull, err
		}
		return types.Int(size), nil
	}
}

// sizeUnits are those of pg_size_pretty with the size up to which each is used.
var sizeUnits = []struct {
	name  string
	limit int64
	round bool
	bits  int
}{{"bytes", 10 * 1024, false, 0}, {"kB", 20*1024 - 1, true, 10}, {"MB", 20*1024 - 1, true, 20}, {"GB", 20*1024 - 1, true, 30}, {"TB", 20*1024 - 1, true, 40}, {"PB", 20*1024 - 1, true, 50}}

func prettySize(size int64) string {
	for i, unit := range sizeUnits {
		magnitude := max(size, -size)
		if i == len(sizeUnits)-1 || magnitude >= 0 && magnitude < unit.limit {
			if unit.round {
				if size >= 0 {
					size = (size + 1) / 2
				} else {
					size = (size - 1) / 2
				}
			}
			return strconv.FormatInt(size, 10) + " " + unit.name
		}
		// Half units are kept for rounding at the end.
		next := sizeUnits[i+1]
		shift := next.bits - unit.bits
		if next.round {
			shift--
		}
		if unit.round {
			shift++
		}
		size /= 1 << shift
	}
	return ""
}

func prettyNumericSize(d *apd.Decimal) string {
	if d.Form != apd.Finite {
		return d.String() + " bytes"
	}
	size := d
	for i, unit := range sizeUnits {
		magnitude := *size
		magnitude.Negative = false
		if i == len(sizeUnits)-1 || magnitude.Cmp(apd.New(unit.limit, 0)) < 0 {
			if unit.round {
				one := apd.New(1, 0)
				if size.Negative {
					one = apd.New(-1, 0)
				}
				size = divideTruncated(add(size, one), apd.New(2, 0))
			}
			return size.Text('f') + " " + unit.name
		}
		next := sizeUnits[i+1]
		shift := next.bits - unit.bits
		if next.round {
			shift--
		}
		if unit.round {
			shift++
		}
		size = divideTruncated(size, apd.New(1<<shift, 0))
	}
	return ""
}

// sizeBytes reads "1.5 GB".
func sizeBytes(ctx *types.Context, a []types.Datum) (types.Datum, error) {
	s := strings.TrimSpace(a[0].S)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || strings.IndexByte("+-.", s[end]) >= 0 ||
		(s[end] == 'e' || s[end] == 'E') && end+1 < len(s) && (s[end+1] >= '0' && s[end+1] <= '9' || s[end+1] == '-' || s[end+1] == '+')) {
		end++
	}
	invalid := pgerror.Newf(pgerror.InvalidParameterValue, "invalid size: \"%s\"", a[0].S)
	if !strings.ContainsAny(s[:end], "0123456789") {
		return types.DNull, invalid
	}
	v, err := types.Parse(ctx, types.Numeric, s[:end])
	if err != nil {
		return types.DNull, err
	}
	number := v.Decimal()
	if unit := strings.TrimSpace(s[end:]); unit != "" {
		bits := -1
		for _, u := range sizeUnits {
			if strings.EqualFold(u.name, unit) {
				bits = u.bits
			}
		}
		if strings.EqualFold(unit, "B") {
			bits = 0
		}
		if bits < 0 {
			return types.DNull, invalid.WithDetail("Invalid size unit: \"%s\".", unit).
				WithHint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
		}
		number = multiply(number, apd.New(1<<bits, 0))
	}
	n, err := roundTo(number, 0, true).Int64()
	if err != nil || n == math.MinInt64 {
		return types.DNull, errBigintRange()
	}
	return types.Int(n), nil
}
