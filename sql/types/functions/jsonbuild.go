package functions

import (
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// appendJSON appends a value of any type as to_json writes it; lines puts a
// line break between the elements of an array and the fields of a row.
func appendJSON(b []byte, ctx *types.Context, t *types.T, v types.Datum, lines bool) []byte {
	if v.Null {
		return append(b, "null"...)
	}
	switch t.OID {
	case types.BooleanOID:
		return strconv.AppendBool(b, v.Bool())
	case types.Int2OID, types.Int4OID, types.Int8OID:
		return strconv.AppendInt(b, v.I, 10)
	case types.Float4OID, types.Float8OID:
		text := types.AppendText(nil, ctx, t, v)
		if f := v.Float(); f != f || f > maximumFloat || f < -maximumFloat {
			return appendJSONString(b, string(text))
		}
		return append(b, text...)
	case types.NumericOID:
		text := types.AppendText(nil, ctx, t, v)
		if v.Decimal().Form != apd.Finite {
			return appendJSONString(b, string(text))
		}
		return append(b, text...)
	case types.JSONOID, types.JSONBOID:
		return append(b, v.S...)
	case types.DateOID, types.TimestampOID, types.TimestampTZOID:
		return appendJSONTime(b, ctx, t, v)
	}
	switch {
	case t.Elem != nil && t.Family == types.ArrayFamily:
		return appendJSONArray(b, ctx, v.Array(), lines)
	case t.Family == types.TupleFamily:
		return appendJSONRow(b, ctx, t, v.Tuple(), lines)
	}
	return appendJSONString(b, textOf(ctx, t, v))
}

// appendJSONTime appends a date or timestamp by ISO 8601, whatever DateStyle is.
func appendJSONTime(b []byte, ctx *types.Context, t *types.T, v types.Datum) []byte {
	b = append(b, '"')
	if v.I == types.InfiniteTime {
		return append(b, `infinity"`...)
	}
	if v.I == types.NegativeInfiniteTime {
		return append(b, `-infinity"`...)
	}
	micros, offset := v.I, 0
	switch t.OID {
	case types.DateOID:
		micros = v.I * microsPerDay
	case types.TimestampTZOID:
		offset = zoneOffset(ctx, micros)
		micros += int64(offset) * microsPerSecond
	}
	c := civilOf(micros)
	year, era := c.year, ""
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	b = appendPadded(b, year, 4)
	b = appendPadded(append(b, '-'), c.month, 2)
	b = appendPadded(append(b, '-'), c.day, 2)
	if t.OID != types.DateOID {
		b = appendPadded(append(b, 'T'), c.hour, 2)
		b = appendPadded(append(b, ':'), c.minute, 2)
		b = appendPadded(append(b, ':'), c.second, 2)
		if c.micros != 0 {
			fraction := appendPadded(nil, c.micros, 6)
			b = append(append(b, '.'), strings.TrimRight(string(fraction), "0")...)
		}
	}
	if t.OID == types.TimestampTZOID {
		sign := byte('+')
		if offset < 0 {
			sign, offset = '-', -offset
		}
		b = appendPadded(append(b, sign), offset/3600, 2)
		b = appendPadded(append(b, ':'), offset/60%60, 2)
		if offset%60 != 0 {
			b = appendPadded(append(b, ':'), offset%60, 2)
		}
	}
	return append(append(b, era...), '"')
}

func appendPadded(b []byte, n, width int) []byte {
	digits := strconv.Itoa(n)
	for i := len(digits); i < width; i++ {
		b = append(b, '0')
	}
	return append(b, digits...)
}

func appendJSONArray(b []byte, ctx *types.Context, a *types.Array, lines bool) []byte {
	if len(a.Elems) == 0 {
		return append(b, "[]"...)
	}
	at := 0
	var level func(dimension int, lines bool)
	level = func(dimension int, lines bool) {
		b = append(b, '[')
		for i := range int(a.Dims[dimension]) {
			if i > 0 {
				b = append(b, ',')
				if lines {
					b = append(b, "\n "...)
				}
			}
			if dimension+1 < len(a.Dims) {
				level(dimension+1, false)
				continue
			}
			b = appendJSON(b, ctx, a.Elem, a.Elems[at], false)
			at++
		}
		b = append(b, ']')
	}
	level(0, lines)
	return b
}

// fieldOf returns the name and type of a row's field.
func fieldOf(t *types.T, tuple *types.Tuple, i int) (string, *types.T) {
	name := "f" + strconv.Itoa(i+1)
	var fieldType *types.T
	if i < len(tuple.Types) {
		fieldType = tuple.Types[i]
	}
	if i < len(t.Fields) {
		name = t.Fields[i].Name
		if fieldType == nil {
			fieldType = t.Fields[i].Type
		}
	}
	return name, fieldType
}

func appendJSONRow(b []byte, ctx *types.Context, t *types.T, tuple *types.Tuple, lines bool) []byte {
	b = append(b, '{')
	for i, v := range tuple.Elems {
		if i > 0 {
			b = append(b, ',')
			if lines {
				b = append(b, "\n "...)
			}
		}
		name, fieldType := fieldOf(t, tuple, i)
		b = append(appendJSONString(b, name), ':')
		b = appendJSON(b, ctx, fieldType, v, false)
	}
	return append(b, '}')
}

// jsonKey appends a value as an object's key: its text output, quoted. Arrays,
// rows and json can't be keys.
func jsonKey(b []byte, ctx *types.Context, t *types.T, v types.Datum) ([]byte, error) {
	if t.Family == types.ArrayFamily || t.Family == types.TupleFamily || t.OID == types.JSONOID || t.OID == types.JSONBOID {
		return nil, pgerror.New(pgerror.InvalidParameterValue, "key value must be scalar, not array, composite, or json")
	}
	if t.OID == types.BooleanOID {
		return appendJSONString(b, strconv.FormatBool(v.Bool())), nil
	}
	if t.OID == types.DateOID || t.OID == types.TimestampOID || t.OID == types.TimestampTZOID {
		return appendJSONTime(b, ctx, t, v), nil
	}
	return appendJSONString(b, textOf(ctx, t, v)), nil
}

// toJSONB turns JSON text into a jsonb datum.
func toJSONB(ctx *types.Context, text []byte) (types.Datum, error) {
	return types.Parse(ctx, types.JSONB, string(text))
}

// finishJSON returns text as json or jsonb.
func finishJSON(ctx *types.Context, text []byte, binary bool) (types.Datum, error) {
	if binary {
		return toJSONB(ctx, text)
	}
	return types.String(string(text)), nil
}

func defineJSONBuilding(d definitions) {
	for _, binary := range []bool{false, true} {
		prefix := "json"
		if binary {
			prefix = "jsonb"
		}
		d.bind("to_"+prefix+"(anyelement)", func(args []*types.T, _ *types.T) types.EvalFunc {
			return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
				return finishJSON(ctx, appendJSON(nil, ctx, args[0], a[0], false), binary)
			}
		})
		d.scalar(prefix+"_build_array()", func(*types.Context, []types.Datum) (types.Datum, error) { return types.String("[]"), nil })
		d.scalar(prefix+"_build_object()", func(*types.Context, []types.Datum) (types.Datum, error) { return types.String("{}"), nil })
		d.bind(prefix+"_build_array(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
			return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
				b := []byte{'['}
				for i, v := range a {
					if i > 0 {
						b = append(b, ", "...)
					}
					b = appendJSON(b, ctx, args[i], v, false)
				}
				return finishJSON(ctx, append(b, ']'), binary)
			}
		})
		d.bind(prefix+"_build_object(any)", func(args []*types.T, _ *types.T) types.EvalFunc {
			return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
				return buildObject(ctx, args, a, binary, prefix)
			}
		})
		d.scalar(prefix+"_object(_text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return objectFromPairs(ctx, a[0].Array(), binary)
		})
		d.scalar(prefix+"_object(_text,_text)", func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return objectFromTwo(ctx, a[0].Array(), a[1].Array(), binary)
		})
	}
	d.bind("row_to_json(record)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(string(appendJSON(nil, ctx, args[0], a[0], false))), nil
		}
	})
	d.bind("row_to_json(record,bool)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(string(appendJSON(nil, ctx, args[0], a[0], a[1].Bool()))), nil
		}
	})
	d.bind("array_to_json(anyarray)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(string(appendJSON(nil, ctx, args[0], a[0], false))), nil
		}
	})
	d.bind("array_to_json(anyarray,bool)", func(args []*types.T, _ *types.T) types.EvalFunc {
		return func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
			return types.String(string(appendJSON(nil, ctx, args[0], a[0], a[1].Bool()))), nil
		}
	})
}

func buildObject(ctx *types.Context, ts []*types.T, values []types.Datum, binary bool, prefix string) (types.Datum, error) {
	if len(values)%2 != 0 {
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "argument list must have even number of elements").
			WithHint("The arguments of %s() must consist of alternating keys and values.", prefix+"_build_object")
	}
	b := []byte{'{'}
	for i := 0; i < len(values); i += 2 {
		if i > 0 {
			b = append(b, ", "...)
		}
		if values[i].Null {
			e := pgerror.Newf(pgerror.InvalidParameterValue, "argument %d cannot be null", i+1).WithHint("Object keys should be text.")
			if binary {
				e = pgerror.Newf(pgerror.InvalidParameterValue, "argument %d: key must not be null", i+1)
			}
			return types.DNull, e
		}
		var err error
		if b, err = jsonKey(b, ctx, ts[i], values[i]); err != nil {
			return types.DNull, err
		}
		b = append(b, " : "...)
		b = appendJSON(b, ctx, ts[i+1], values[i+1], false)
	}
	return finishJSON(ctx, append(b, '}'), binary)
}

func objectFromPairs(ctx *types.Context, a *types.Array, binary bool) (types.Datum, error) {
	switch {
	case len(a.Dims) == 0:
		return types.String("{}"), nil
	case len(a.Dims) == 1 && a.Dims[0]%2 != 0:
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "array must have even number of elements")
	case len(a.Dims) == 2 && a.Dims[1] != 2:
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "array must have two columns")
	case len(a.Dims) > 2:
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts")
	}
	var keys, values []types.Datum
	for i := 0; i < len(a.Elems); i += 2 {
		keys, values = append(keys, a.Elems[i]), append(values, a.Elems[i+1])
	}
	return objectOf(ctx, keys, values, binary)
}

func objectFromTwo(ctx *types.Context, keys, values *types.Array, binary bool) (types.Datum, error) {
	if len(keys.Dims) > 1 || len(values.Dims) > 1 {
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts")
	}
	if len(keys.Elems) != len(values.Elems) {
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "mismatched array dimensions")
	}
	return objectOf(ctx, keys.Elems, values.Elems, binary)
}

func objectOf(ctx *types.Context, keys, values []types.Datum, binary bool) (types.Datum, error) {
	b := []byte{'{'}
	for i, key := range keys {
		if key.Null {
			return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "null value not allowed for object key")
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendJSONString(b, key.S), " : "...)
		if values[i].Null {
			b = append(b, "null"...)
		} else {
			b = appendJSONString(b, values[i].S)
		}
	}
	return finishJSON(ctx, append(b, '}'), binary)
}
