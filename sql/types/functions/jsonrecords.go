package functions

import (
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// defineJSONRecords defines the functions that turn JSON objects into rows:
// of a given row's type, or of the columns that the query lists.
func defineJSONRecords(d definitions) {
	for _, prefix := range []string{"json", "jsonb"} {
		populate, set := prefix+"_populate_record", prefix+"_populate_recordset"
		arguments := "(anyelement," + prefix + ")"
		if prefix == "json" {
			arguments = "(anyelement,json,bool)"
		}
		d.bind(populate+arguments, func(args []*types.T, _ *types.T) types.EvalFunc {
			t := args[0]
			return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
				if a[1].Null {
					return a[0], nil
				}
				return recordOf(ctx, populate, t, a[0], a[1].S)
			}
		})
		d.bindRows(set+arguments, func(args []*types.T, _ *types.T) types.RowsFunc {
			t := args[0]
			return func(ctx *types.Context, a []types.Datum) (types.RowSource, error) {
				if a[1].Null {
					return &sliceRows{}, nil
				}
				return recordsOf(ctx, set, t, a[0], a[1].S)
			}
		})
		d.bind(prefix+"_to_record("+prefix+")", func(_ []*types.T, ret *types.T) types.EvalFunc {
			return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
				return recordOf(ctx, prefix+"_to_record", ret, types.DNull, a[0].S)
			}
		})
		d.bindRows(prefix+"_to_recordset("+prefix+")", func(_ []*types.T, ret *types.T) types.RowsFunc {
			return func(ctx *types.Context, a []types.Datum) (types.RowSource, error) {
				return recordsOf(ctx, prefix+"_to_recordset", ret, types.DNull, a[0].S)
			}
		})
	}
}

// checkRecordType refuses to make rows of which the columns aren't known.
func checkRecordType(function string, t *types.T) error {
	switch {
	case t.Family != types.TupleFamily:
		return pgerror.Newf(pgerror.DatatypeMismatch, "first argument of %s must be a row type", function)
	case len(t.Fields) == 0:
		return pgerror.Newf(pgerror.FeatureNotSupported, "could not determine row type for result of %s", function).
			WithHint("Provide a non-null record argument, or call the function in the FROM clause using a column definition list.")
	}
	return nil
}

func recordOf(ctx *types.Context, function string, t *types.T, base types.Datum, text string) (types.Datum, error) {
	if err := checkRecordType(function, t); err != nil {
		return types.DNull, err
	}
	v, err := parseJSON(text)
	switch {
	case err != nil:
		return types.DNull, err
	case v.kind == jsonArray:
		return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on an array", function)
	case v.kind == jsonNull:
		return base, nil
	case v.kind != jsonObject:
		return types.DNull, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on a scalar", function)
	}
	fields, err := fieldsOf(ctx, t, base, v)
	if err != nil {
		return types.DNull, err
	}
	tuple := &types.Tuple{Elems: fields}
	for _, f := range t.Fields {
		tuple.Types = append(tuple.Types, f.Type)
	}
	return types.TupleOf(tuple), nil
}

func recordsOf(ctx *types.Context, function string, t *types.T, base types.Datum, text string) (types.RowSource, error) {
	if err := checkRecordType(function, t); err != nil {
		return nil, err
	}
	v, err := parseJSON(text)
	switch {
	case err != nil:
		return nil, err
	case v.kind == jsonObject:
		return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on an object", function)
	case v.kind != jsonArray:
		return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on a scalar", function)
	}
	next := 0
	return funcRows(func() ([]types.Datum, bool, error) {
		if next >= len(v.items) {
			return nil, false, nil
		}
		item := v.items[next]
		next++
		if item.kind != jsonObject {
			return nil, false, pgerror.Newf(pgerror.InvalidParameterValue, "argument of %s must be an array of objects", function)
		}
		fields, err := fieldsOf(ctx, t, base, item)
		return fields, err == nil, err
	}), nil
}

// fieldsOf are the fields of a row from those of an object; what the object
// lacks comes from the base row.
func fieldsOf(ctx *types.Context, t *types.T, base types.Datum, v *jsonValue) ([]types.Datum, error) {
	out := make([]types.Datum, len(t.Fields))
	for i, f := range t.Fields {
		out[i] = types.DNull
		if !base.Null {
			if tuple, ok := base.Ref.(*types.Tuple); ok && i < len(tuple.Elems) {
				out[i] = tuple.Elems[i]
			}
		}
		item := v.field(f.Name)
		if item == nil {
			continue
		}
		var err error
		if out[i], err = fromJSON(ctx, f.Type, item, f.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fromJSON turns a JSON value into one of a type; key names where it stands.
func fromJSON(ctx *types.Context, t *types.T, v *jsonValue, key string) (types.Datum, error) {
	switch {
	case v.kind == jsonNull && t.OID != types.JSONOID && t.OID != types.JSONBOID:
		return types.DNull, nil
	case t.OID == types.JSONOID:
		return types.String(v.raw), nil
	case t.OID == types.JSONBOID:
		return toJSONB(ctx, []byte(v.raw))
	case t.Family == types.ArrayFamily && t.Elem != nil && t.OID != types.Int2VectorOID && t.OID != types.OIDVectorOID:
		if v.kind != jsonArray {
			return types.DNull, pgerror.New(pgerror.InvalidTextRepresentation, "expected JSON array").WithHint("See the value of key \"%s\".", key)
		}
		return arrayFromJSON(ctx, t, v, key)
	case t.Family == types.TupleFamily && v.kind == jsonObject:
		return recordOf(ctx, key, t, types.DNull, v.raw)
	case v.kind == jsonString:
		return types.Parse(ctx, t, v.text)
	}
	return types.Parse(ctx, t, v.raw)
}

func arrayFromJSON(ctx *types.Context, t *types.T, v *jsonValue, key string) (types.Datum, error) {
	out := &types.Array{Elem: t.Elem}
	if len(v.items) == 0 {
		return types.ArrayOf(out), nil
	}
	for level := v; level.kind == jsonArray && len(level.items) > 0 && len(out.Dims) < maximumDimensions; level = level.items[0] {
		out.Dims, out.Bounds = append(out.Dims, int32(len(level.items))), append(out.Bounds, 1)
	}
	var collect func(v *jsonValue, dimension int) error
	collect = func(v *jsonValue, dimension int) error {
		if dimension == len(out.Dims) {
			item, err := fromJSON(ctx, t.Elem, v, key)
			out.Elems = append(out.Elems, item)
			return err
		}
		if v.kind != jsonArray || len(v.items) != int(out.Dims[dimension]) {
			return pgerror.New(pgerror.InvalidTextRepresentation, "malformed JSON array").
				WithDetail("Multidimensional arrays must have sub-arrays with matching dimensions.")
		}
		for _, item := range v.items {
			if err := collect(item, dimension+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := collect(v, 0); err != nil {
		return types.DNull, err
	}
	return types.ArrayOf(out), nil
}
