package rowenc

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/cairndb/cairn/kv/keys"
	"github.com/cairndb/cairn/sql/pgerror"
)

// appendJSONKey writes a jsonb such that keys sort as PostgreSQL sorts them:
// Object > Array > Boolean > Number > String > null, containers first by
// their number of elements. The encoding is wrapped as a string of bytes so
// that it can be skipped without being understood.
func appendJSONKey(b []byte, text string) ([]byte, error) {
	if strings.TrimSpace(text) == "[]" {
		return keys.EncodeBytesAscending(b, []byte{jsonEmptyArray}), nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, pgerror.Newf(pgerror.DataCorrupted, "invalid jsonb: %v", err)
	}
	inner, err := appendJSON(nil, v)
	if err != nil {
		return nil, err
	}
	return keys.EncodeBytesAscending(b, inner), nil
}

func appendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, jsonNull), nil
	case string:
		return keys.EncodeStringAscending(append(b, jsonString), v), nil
	case bool:
		if v {
			return append(b, jsonTrue), nil
		}
		return append(b, jsonFalse), nil
	case json.Number:
		d, _, err := apd.NewFromString(v.String())
		if err != nil {
			return nil, pgerror.Newf(pgerror.DataCorrupted, "invalid number in jsonb: %v", err)
		}
		return appendDecimalKey(append(b, jsonNumber), d), nil
	case []any:
		b = keys.EncodeUvarintAscending(append(b, jsonArray), uint64(len(v)))
		var err error
		for _, e := range v {
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		// jsonb keeps keys by length, then bytes.
		slices.SortFunc(names, func(x, y string) int {
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
		})
		b = keys.EncodeUvarintAscending(append(b, jsonObject), uint64(len(v)))
		var err error
		for _, name := range names {
			b = keys.EncodeStringAscending(b, name)
			if b, err = appendJSON(b, v[name]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, pgerror.New(pgerror.DataCorrupted, "invalid jsonb")
}

func skipJSONKey(b []byte, flip byte) ([]byte, error) {
	if len(b) == 0 || b[0]^flip == 0 {
		return nil, damaged("a jsonb in a key")
	}
	return keys.SkipBytes(b)
}
