package functions

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

func defineJSON(d definitions) {
	for _, prefix := range []string{"json", "jsonb"} {
		d.scalar(prefix+"_typeof("+prefix+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			v, err := parseJSON(a[0].S)
			if err != nil {
				return types.DNull, err
			}
			return types.String(jsonKindNames[v.kind]), nil
		})
		d.scalar(prefix+"_array_length("+prefix+")", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			v, err := parseJSON(a[0].S)
			switch {
			case err != nil:
				return types.DNull, err
			case v.kind == jsonObject:
				return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "cannot get array length of a non-array")
			case v.kind != jsonArray:
				return types.DNull, pgerror.New(pgerror.InvalidParameterValue, "cannot get array length of a scalar")
			}
			return types.Int(int64(len(v.items))), nil
		})
		d.scalar(prefix+"_extract_path("+prefix+",_text)", extractPath((*jsonValue).asJSON))
		d.scalar(prefix+"_extract_path_text("+prefix+",_text)", extractPath((*jsonValue).asText))
		defineJSONSets(d, prefix)
	}
	d.scalar("json_strip_nulls(json)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := parseJSON(a[0].S)
		if err != nil {
			return types.DNull, err
		}
		return types.String(string(stripNulls(v).appendCompact(nil))), nil
	})
	d.scalar("jsonb_strip_nulls(jsonb)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := parseJSON(a[0].S)
		if err != nil {
			return types.DNull, err
		}
		return types.String(string(stripNulls(v).appendJSONB(nil))), nil
	})
	d.scalar("jsonb_pretty(jsonb)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := parseJSON(a[0].S)
		if err != nil {
			return types.DNull, err
		}
		return types.String(string(v.appendPretty(nil, 0))), nil
	})
	d.scalar("jsonb_set(jsonb,_text,jsonb,bool)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return editJSON(a[0], a[1].Array(), a[2], jsonEdit{set: true, create: a[3].Bool()})
	})
	d.scalar("jsonb_insert(jsonb,_text,jsonb,bool)", func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		return editJSON(a[0], a[1].Array(), a[2], jsonEdit{after: a[3].Bool()})
	})
	d.scalar("jsonb_set_lax(jsonb,_text,jsonb,bool,text)", setLax)
}

func extractPath(form func(*jsonValue) types.Datum) types.EvalFunc {
	return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
		v, err := parseJSON(a[0].S)
		if err != nil {
			return types.DNull, err
		}
		for _, element := range a[1].Array().Elems {
			if element.Null {
				return types.DNull, nil
			}
			if v = v.step(element.S); v == nil {
				return types.DNull, nil
			}
		}
		return form(v), nil
	}
}

func defineJSONSets(d definitions, prefix string) {
	each := func(name string, form func(*jsonValue) types.Datum) types.RowsFunc {
		return func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
			v, err := parseJSON(a[0].S)
			if err != nil {
				return nil, err
			}
			if v.kind != jsonObject {
				if prefix == "jsonb" {
					return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on a non-object", name)
				}
				if v.kind == jsonArray {
					return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot deconstruct an array as an object")
				}
				return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot deconstruct a scalar")
			}
			rows := &sliceRows{}
			for i, key := range v.keys {
				rows.rows = append(rows.rows, []types.Datum{types.String(key), form(v.items[i])})
			}
			return rows, nil
		}
	}
	d.rows(prefix+"_each("+prefix+")", each(prefix+"_each", (*jsonValue).asJSON))
	d.rows(prefix+"_each_text("+prefix+")", each(prefix+"_each_text", (*jsonValue).asText))
	elements := func(name string, form func(*jsonValue) types.Datum) types.RowsFunc {
		return func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
			v, err := parseJSON(a[0].S)
			switch {
			case err != nil:
				return nil, err
			case v.kind == jsonObject && prefix == "json":
				return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on a non-array", name)
			case v.kind == jsonObject:
				return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot extract elements from an object")
			case v.kind != jsonArray && prefix == "json":
				return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s on a scalar", name)
			case v.kind != jsonArray:
				return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot extract elements from a scalar")
			}
			rows := &valueRows{}
			for _, item := range v.items {
				rows.values = append(rows.values, form(item))
			}
			return rows, nil
		}
	}
	d.rows(prefix+"_array_elements("+prefix+")", elements(prefix+"_array_elements", (*jsonValue).asJSON))
	d.rows(prefix+"_array_elements_text("+prefix+")", elements(prefix+"_array_elements_text", (*jsonValue).asText))
	d.rows(prefix+"_object_keys("+prefix+")", func(_ *types.Context, a []types.Datum) (types.RowSource, error) {
		v, err := parseJSON(a[0].S)
		switch {
		case err != nil:
			return nil, err
		case v.kind == jsonArray:
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s_object_keys on an array", prefix)
		case v.kind != jsonObject:
			return nil, pgerror.Newf(pgerror.InvalidParameterValue, "cannot call %s_object_keys on a scalar", prefix)
		}
		rows := &valueRows{}
		for _, key := range v.keys {
			rows.values = append(rows.values, types.String(key))
		}
		return rows, nil
	})
}

func stripNulls(v *jsonValue) *jsonValue {
	if v.kind != jsonArray && v.kind != jsonObject {
		return v
	}
	out := &jsonValue{kind: v.kind}
	for i, item := range v.items {
		if v.kind == jsonObject {
			if item.kind == jsonNull {
				continue
			}
			out.keys = append(out.keys, v.keys[i])
		}
		out.items = append(out.items, stripNulls(item))
	}
	return out
}

// jsonEdit says how editJSON changes the place that a path leads to.
type jsonEdit struct {
	set    bool // jsonb_set: replace it
	create bool // with set: add it if it isn't there
	remove bool // jsonb_delete_path
	after  bool // jsonb_insert: after the place instead of before
	value  *jsonValue
}

func editJSON(target types.Datum, path *types.Array, value types.Datum, edit jsonEdit) (types.Datum, error) {
	if len(path.Dims) > 1 {
		return types.DNull, pgerror.New(pgerror.ArraySubscriptError, "wrong number of array subscripts")
	}
	v, err := parseJSON(target.S)
	if err != nil {
		return types.DNull, err
	}
	if v.kind != jsonArray && v.kind != jsonObject {
		what := "cannot set path in scalar"
		if edit.remove {
			what = "cannot delete path in scalar"
		}
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue, what)
	}
	if len(path.Elems) == 0 || len(v.items) == 0 && edit.set && !edit.create {
		return target, nil
	}
	if !edit.remove {
		if edit.value, err = parseJSON(value.S); err != nil {
			return types.DNull, err
		}
	}
	if v, err = edit.apply(v, path.Elems, 0); err != nil {
		return types.DNull, err
	}
	return types.String(string(v.appendJSONB(nil))), nil
}

func (e jsonEdit) apply(v *jsonValue, path []types.Datum, level int) (*jsonValue, error) {
	if path[level].Null {
		return nil, pgerror.Newf(pgerror.NullValueNotAllowed, "path element at position %d is null", level+1)
	}
	element, last := path[level].S, level == len(path)-1
	switch v.kind {
	case jsonObject:
		return e.applyToObject(v, element, last, path, level)
	case jsonArray:
		index, err := strconv.ParseInt(strings.TrimLeft(element, " "), 10, 32)
		if err != nil {
			return nil, pgerror.Newf(pgerror.InvalidTextRepresentation, "path element at position %d is not an integer: \"%s\"", level+1, element)
		}
		return e.applyToArray(v, index, last, path, level)
	}
	return v, nil
}

func (e jsonEdit) applyToObject(v *jsonValue, key string, last bool, path []types.Datum, level int) (*jsonValue, error) {
	i := slices.Index(v.keys, key)
	if !last {
		if i < 0 {
			return v, nil
		}
		item, err := e.apply(v.items[i], path, level+1)
		if err != nil {
			return nil, err
		}
		return v.put(key, item), nil
	}
	switch {
	case e.remove && i >= 0:
		return v.without(i), nil
	case e.remove:
		return v, nil
	case i >= 0 && !e.set:
		return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot replace existing key").
			WithHint("Try using the function jsonb_set to replace key value.")
	case i < 0 && e.set && !e.create:
		return v, nil
	}
	return v.put(key, e.value), nil
}

func (e jsonEdit) applyToArray(v *jsonValue, index int64, last bool, path []types.Datum, level int) (*jsonValue, error) {
	count := int64(len(v.items))
	if index < 0 {
		if -index > count {
			index = -1 // before the first
		} else {
			index += count
		}
	}
	inside := index >= 0 && index < count
	if !last {
		if !inside {
			return v, nil
		}
		item, err := e.apply(v.items[index], path, level+1)
		if err != nil {
			return nil, err
		}
		return v.with(int(index), item), nil
	}
	switch {
	case e.remove && inside:
		return v.without(int(index)), nil
	case e.remove || e.set && !inside && !e.create:
		return v, nil
	case e.set && inside:
		return v.with(int(index), e.value), nil
	case index < 0:
		return v.insert(0, e.value), nil
	case !inside:
		return v.insert(int(count), e.value), nil
	case e.after:
		return v.insert(int(index)+1, e.value), nil
	}
	return v.insert(int(index), e.value), nil
}

// setLax is jsonb_set_lax: jsonb_set with a choice of what a NULL value means.
func setLax(_ *types.Context, a []types.Datum) (types.Datum, error) {
	if a[0].Null || a[1].Null || a[3].Null {
		return types.DNull, nil
	}
	if a[4].Null {
		return types.DNull, pgerror.New(pgerror.InvalidParameterValue,
			"null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"")
	}
	edit := jsonEdit{set: true, create: a[3].Bool()}
	if !a[2].Null {
		return editJSON(a[0], a[1].Array(), a[2], edit)
	}
	switch a[4].S {
	case "raise_exception":
		return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "JSON value must not be null").
			WithDetail("Exception was raised because null_value_treatment is \"raise_exception\".").
			WithHint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.")
	case "use_json_null":
		return editJSON(a[0], a[1].Array(), types.String("null"), edit)
	case "delete_key":
		return editJSON(a[0], a[1].Array(), types.Datum{}, jsonEdit{remove: true})
	case "return_target":
		return a[0], nil
	}
	return types.DNull, pgerror.New(pgerror.InvalidParameterValue,
		"null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"")
}
