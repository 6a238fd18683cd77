package types

import (
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// mustJSON parses a stored value, which its input function accepted.
func mustJSON(text string) (*JSONValue, error) {
	p := jsonParser{text: text, build: true}
	return p.document()
}

// Field returns a field of an object, the last of that name.
func (v *JSONValue) Field(key string) *JSONValue {
	if v.Kind != JSONObject {
		return nil
	}
	for i := len(v.Fields) - 1; i >= 0; i-- {
		if v.Fields[i].Key == key {
			return &v.Fields[i].Value
		}
	}
	return nil
}

// Item returns an element of an array, from the end if i is negative.
func (v *JSONValue) Item(i int64) *JSONValue {
	if v.Kind != JSONArray {
		return nil
	}
	if i < 0 {
		i += int64(len(v.Items))
	}
	if i < 0 || i >= int64(len(v.Items)) {
		return nil
	}
	return &v.Items[i]
}

// Path follows keys and indexes.
func (v *JSONValue) Path(path []Datum) *JSONValue {
	for _, step := range path {
		if step.Null {
			return nil
		}
		switch v.Kind {
		case JSONObject:
			v = v.Field(step.S)
		case JSONArray:
			i, err := strconv.ParseInt(trimSpace(step.S), 10, 32)
			if err != nil {
				return nil
			}
			v = v.Item(i)
		default:
			return nil
		}
		if v == nil {
			return nil
		}
	}
	return v
}

// AsText is what ->> returns: a string's value, the text of others, NULL for null.
func (v *JSONValue) AsText() Datum {
	switch {
	case v == nil || v.Kind == JSONNull:
		return DNull
	case v.Kind == JSONString:
		return String(v.String)
	}
	return String(v.Raw)
}

func defineJSON() {
	for _, prefix := range []string{"json_", "jsonb_"} {
		for name, find := range map[string]func(v *JSONValue, key Datum) *JSONValue{
			"object_field": func(v *JSONValue, key Datum) *JSONValue { return v.Field(key.S) },
			"array_element": func(v *JSONValue, key Datum) *JSONValue {
				if prefix == "jsonb_" && v.isScalar() && (key.I == 0 || key.I == -1) {
					return v // jsonb keeps a scalar as an array of one
				}
				return v.Item(key.I)
			},
			"extract_path": func(v *JSONValue, key Datum) *JSONValue { return v.Path(key.Array().Elems) },
		} {
			define(prefix+name, func(_ *Context, a []Datum) (Datum, error) {
				v, err := mustJSON(a[0].S)
				if err != nil {
					return DNull, err
				}
				if v = find(v, a[1]); v == nil {
					return DNull, nil
				}
				return String(v.Raw), nil
			})
			define(prefix+name+"_text", func(_ *Context, a []Datum) (Datum, error) {
				v, err := mustJSON(a[0].S)
				if err != nil {
					return DNull, err
				}
				return find(v, a[1]).AsText(), nil
			})
		}
	}
	defineJSONBTests()
	defineJSONBChanges()
	defineJSONBCasts()
}

func defineJSONBTests() {
	pair := func(test func(a, b *JSONValue) bool) EvalFunc {
		return func(_ *Context, args []Datum) (Datum, error) {
			a, err := mustJSON(args[0].S)
			if err != nil {
				return DNull, err
			}
			b, err := mustJSON(args[1].S)
			if err != nil {
				return DNull, err
			}
			return Bool(test(a, b)), nil
		}
	}
	define("jsonb_contains", pair(func(a, b *JSONValue) bool { return a.contains(b, true) }))
	define("jsonb_contained", pair(func(a, b *JSONValue) bool { return b.contains(a, true) }))
	define("jsonb_exists", func(_ *Context, a []Datum) (Datum, error) {
		v, err := mustJSON(a[0].S)
		if err != nil {
			return DNull, err
		}
		return Bool(v.hasKey(a[1].S)), nil
	})
	for name, all := range map[string]bool{"jsonb_exists_any": false, "jsonb_exists_all": true} {
		define(name, func(_ *Context, a []Datum) (Datum, error) {
			v, err := mustJSON(a[0].S)
			if err != nil {
				return DNull, err
			}
			for _, key := range a[1].Array().Elems {
				if !key.Null && v.hasKey(key.S) != all {
					return Bool(!all), nil
				}
			}
			return Bool(all), nil
		})
	}
}

// hasKey reports whether key is a field of the object, a string in the array,
// or the string itself.
func (v *JSONValue) hasKey(key string) bool {
	switch v.Kind {
	case JSONObject:
		return v.Field(key) != nil
	case JSONString:
		return v.String == key
	}
	for i := range v.Items {
		if v.Items[i].Kind == JSONString && v.Items[i].String == key {
			return true
		}
	}
	return false
}

func (v *JSONValue) isScalar() bool { return v.Kind < JSONArray }

// contains is @>: at the top an array contains a scalar that is among its elements.
func (v *JSONValue) contains(w *JSONValue, top bool) bool {
	switch {
	case v.Kind == JSONArray && w.isScalar() && top:
		return v.containsItem(w)
	case v.Kind != w.Kind:
		return false
	case v.Kind == JSONArray:
		for i := range w.Items {
			if !v.containsItem(&w.Items[i]) {
				return false
			}
		}
		return true
	case v.Kind == JSONObject:
		for i := range w.Fields {
			mine := v.Field(w.Fields[i].Key)
			if mine == nil || !mine.contains(&w.Fields[i].Value, false) {
				return false
			}
		}
		return true
	}
	return compareJSON(v, w) == 0
}

func (v *JSONValue) containsItem(w *JSONValue) bool {
	for i := range v.Items {
		if v.Items[i].contains(w, false) {
			return true
		}
	}
	return false
}

// compareJSONTexts is jsonb's order.
func compareJSONTexts(a, b string) int {
	if a == b {
		return 0
	}
	v, err := mustJSON(a)
	if err != nil {
		return strings.Compare(a, b)
	}
	w, err := mustJSON(b)
	if err != nil {
		return strings.Compare(a, b)
	}
	// At the top a scalar counts as an array of one element, before true arrays
	// of that length.
	if v.isScalar() != w.isScalar() {
		if v.Kind == JSONArray && len(v.Items) == 0 {
			return -1
		}
		if w.Kind == JSONArray && len(w.Items) == 0 {
			return 1
		}
	}
	return compareJSON(v, w)
}

func compareJSON(v, w *JSONValue) int {
	if v.Kind != w.Kind {
		return int(v.Kind) - int(w.Kind)
	}
	switch v.Kind {
	case JSONString:
		return strings.Compare(v.String, w.String)
	case JSONNumber:
		a, err := decimalFromText(v.Raw)
		b, err2 := decimalFromText(w.Raw)
		if err != nil || err2 != nil {
			return strings.Compare(v.Raw, w.Raw)
		}
		return CompareNumeric(a, b)
	case JSONBoolean:
		return compareInts(Bool(v.Bool).I, Bool(w.Bool).I)
	case JSONArray:
		if len(v.Items) != len(w.Items) {
			return len(v.Items) - len(w.Items)
		}
		for i := range v.Items {
			if c := compareJSON(&v.Items[i], &w.Items[i]); c != 0 {
				return c
			}
		}
	case JSONObject:
		if len(v.Fields) != len(w.Fields) {
			return len(v.Fields) - len(w.Fields)
		}
		for i := range v.Fields {
			if c := strings.Compare(v.Fields[i].Key, w.Fields[i].Key); c != 0 {
				return c
			}
			if c := compareJSON(&v.Fields[i].Value, &w.Fields[i].Value); c != 0 {
				return c
			}
		}
	}
	return 0
}

func defineJSONBChanges() {
	change := func(f func(v *JSONValue, arg Datum) (*JSONValue, error)) EvalFunc {
		return func(_ *Context, a []Datum) (Datum, error) {
			v, err := mustJSON(a[0].S)
			if err != nil {
				return DNull, err
			}
			if v, err = f(v, a[1]); err != nil {
				return DNull, err
			}
			b, err := v.AppendJSONB(nil)
			return String(string(b)), err
		}
	}
	define("jsonb_concat", change(func(v *JSONValue, arg Datum) (*JSONValue, error) {
		w, err := mustJSON(arg.S)
		if err != nil {
			return nil, err
		}
		return concatenateJSON(v, w), nil
	}))
	define("jsonb_delete", change(func(v *JSONValue, arg Datum) (*JSONValue, error) { return v.withoutKeys([]Datum{arg}) }))
	define("jsonb_delete_array", change(func(v *JSONValue, arg Datum) (*JSONValue, error) { return v.withoutKeys(arg.Array().Elems) }))
	define("jsonb_delete_idx", change(func(v *JSONValue, arg Datum) (*JSONValue, error) { return v.withoutItem(arg.I) }))
	define("jsonb_delete_path", change(func(v *JSONValue, arg Datum) (*JSONValue, error) {
		if v.isScalar() {
			return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot delete path in scalar")
		}
		if len(v.Items) == 0 && len(v.Fields) == 0 {
			return v, nil
		}
		return v.withoutPath(arg.Array().Elems, 1)
	}))
}

func concatenateJSON(v, w *JSONValue) *JSONValue {
	if v.Kind == JSONObject && w.Kind == JSONObject {
		return &JSONValue{Kind: JSONObject, Fields: append(append([]JSONMember{}, v.Fields...), w.Fields...)}
	}
	items := func(x *JSONValue) []JSONValue {
		if x.Kind == JSONArray {
			return x.Items
		}
		return []JSONValue{*x}
	}
	return &JSONValue{Kind: JSONArray, Items: append(append([]JSONValue{}, items(v)...), items(w)...)}
}

func (v *JSONValue) withoutKeys(keys []Datum) (*JSONValue, error) {
	if v.isScalar() {
		return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot delete from scalar")
	}
	unwanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		if !k.Null {
			unwanted[k.S] = true
		}
	}
	r := &JSONValue{Kind: v.Kind}
	for _, f := range v.Fields {
		if !unwanted[f.Key] {
			r.Fields = append(r.Fields, f)
		}
	}
	for _, item := range v.Items {
		if item.Kind != JSONString || !unwanted[item.String] {
			r.Items = append(r.Items, item)
		}
	}
	return r, nil
}

func (v *JSONValue) withoutItem(i int64) (*JSONValue, error) {
	switch {
	case v.isScalar():
		return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot delete from scalar")
	case v.Kind == JSONObject:
		return nil, pgerror.New(pgerror.InvalidParameterValue, "cannot delete from object using integer index")
	}
	if i < 0 {
		i += int64(len(v.Items))
	}
	r := &JSONValue{Kind: JSONArray}
	for n, item := range v.Items {
		if int64(n) != i {
			r.Items = append(r.Items, item)
		}
	}
	return r, nil
}

func (v *JSONValue) withoutPath(path []Datum, position int) (*JSONValue, error) {
	if len(path) == 0 || v.isScalar() || path[0].Null {
		return v, nil
	}
	r := &JSONValue{Kind: v.Kind}
	index := int64(-1)
	if v.Kind == JSONArray {
		i, err := strconv.ParseInt(trimSpace(path[0].S), 10, 32)
		if err != nil {
			return nil, pgerror.Newf(pgerror.InvalidTextRepresentation, "path element at position %d is not an integer: \"%s\"", position, path[0].S)
		}
		if index = i; index < 0 {
			index += int64(len(v.Items))
		}
	}
	// keep returns what remains of an element on the path.
	keep := func(x *JSONValue) (*JSONValue, error) {
		if len(path) == 1 {
			return nil, nil
		}
		return x.withoutPath(path[1:], position+1)
	}
	for i := range v.Items {
		item := &v.Items[i]
		if int64(i) == index {
			var err error
			if item, err = keep(item); err != nil {
				return nil, err
			}
		}
		if item != nil {
			r.Items = append(r.Items, *item)
		}
	}
	for i := range v.Fields {
		f := v.Fields[i]
		value := &f.Value
		if f.Key == path[0].S {
			var err error
			if value, err = keep(value); err != nil {
				return nil, err
			}
		}
		if value != nil {
			r.Fields = append(r.Fields, JSONMember{f.Key, *value})
		}
	}
	return r, nil
}

func defineJSONBCasts() {
	kinds := [...]string{"null", "string", "numeric", "boolean", "array", "object"}
	scalar := func(t *T, kind JSONKind, d Datum) (*JSONValue, error) {
		v, err := mustJSON(d.S)
		if err == nil && v.Kind != kind {
			err = pgerror.Newf(pgerror.InvalidParameterValue, "cannot cast jsonb %s to type %s", kinds[v.Kind], t.SQLName)
		}
		return v, err
	}
	define("jsonb_bool", func(_ *Context, a []Datum) (Datum, error) {
		v, err := scalar(Boolean, JSONBoolean, a[0])
		if err != nil {
			return DNull, err
		}
		return Bool(v.Bool), nil
	})
	for name, t := range map[string]*T{"jsonb_numeric": Numeric, "jsonb_int2": Int2, "jsonb_int4": Int4, "jsonb_int8": Int8, "jsonb_float4": Float4, "jsonb_float8": Float8} {
		define(name, func(ctx *Context, a []Datum) (Datum, error) {
			v, err := scalar(t, JSONNumber, a[0])
			if err != nil {
				return DNull, err
			}
			if t.Family == FloatFamily {
				return parseFloat(t, v.Raw)
			}
			d, err := parseNumeric(v.Raw)
			if err != nil || t == Numeric {
				return d, err
			}
			n, err := NumericToInt(t, d.Decimal())
			return Int(n), err
		})
	}
}
