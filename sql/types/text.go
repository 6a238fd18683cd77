package types

import (
	"strconv"

	"github.com/cairndb/cairn/sql/pgerror"
)

// Parse is the type's input function: it reads a value's text form, then
// coerces it to the type's modifiers as an assignment does. Errors have
// PostgreSQL's words: 22P02, 22003, 22007, 22008, 22001 ….
func Parse(ctx *Context, t *T, text string) (Datum, error) { return parseFor(ctx, t, text, false) }

func parseFor(ctx *Context, t *T, text string, explicit bool) (Datum, error) {
	d, err := parseBase(ctx, t, text)
	if err != nil || t.Typmod < 0 || d.Null {
		return d, err
	}
	if coerce := typmodCoercion(t, explicit); coerce != nil {
		return coerce(ctx, d)
	}
	return d, nil
}

// parseBase reads a value without coercing it to the modifiers.
func parseBase(ctx *Context, t *T, text string) (Datum, error) {
	switch t.OID {
	case TextOID, VarcharOID, BPCharOID, UnknownOID, CstringOID, RefcursorOID, PgNodeTreeOID, ACLItemOID:
		return String(text), nil
	case NameOID:
		return String(truncateName(text)), nil
	case CharTypeOID:
		return String(parseCharType(text)), nil
	case BooleanOID:
		return parseBoolean(text)
	case Int2OID, Int4OID, Int8OID:
		return parseInteger(t, text)
	case OIDTypeOID, XidOID, CidOID:
		return parseOID(t, text)
	case Xid8OID:
		return parseXid8(text)
	case Float4OID, Float8OID:
		return parseFloat(t, text)
	case NumericOID:
		return parseNumeric(text)
	case ByteaOID:
		return parseBytea(text)
	case DateOID:
		return parseDate(ctx, text)
	case TimeOID:
		return parseTime(ctx, text)
	case TimeTZOID:
		return parseTimeTZ(ctx, text)
	case TimestampOID:
		return parseTimestamp(ctx, text)
	case TimestampTZOID:
		return parseTimestampTZ(ctx, text)
	case IntervalOID:
		return parseInterval(ctx, text, t.Typmod)
	case UUIDOID:
		return parseUUID(text)
	case JSONOID:
		return parseJSON(text)
	case JSONBOID:
		return parseJSONB(text)
	case TidOID:
		return parseTid(text)
	case PgLSNOID:
		return parseLSN(text)
	case Int2VectorOID, OIDVectorOID:
		return parseVector(t, text)
	case VoidOID:
		return Datum{}, nil
	case RegclassOID, RegtypeOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID, RegroleOID, RegnamespaceOID, RegcollationOID, RegconfigOID, RegdictionaryOID:
		return parseReg(ctx, t, text)
	}
	switch {
	case t.IsPseudo():
		if t.Family == TupleFamily {
			return DNull, pgerror.New(pgerror.FeatureNotSupported, "input of anonymous composite types is not implemented")
		}
		return DNull, pgerror.Newf(pgerror.FeatureNotSupported, "cannot accept a value of type %s", t.SQLName)
	case t.Family == ArrayFamily:
		return parseArray(ctx, t, text)
	case t.Family == TupleFamily:
		return parseRow(ctx, t, text)
	}
	return DNull, pgerror.Unsupported("type " + t.SQLName)
}

// AppendText appends the value's text form, as the type's output function and
// the text format of the protocol have it; nothing for NULL.
func AppendText(b []byte, ctx *Context, t *T, d Datum) []byte {
	if d.Null {
		return b
	}
	switch t.OID {
	case Int4OID, Int8OID, Int2OID, OIDTypeOID, XidOID, CidOID:
		return strconv.AppendInt(b, d.I, 10)
	case Xid8OID:
		return strconv.AppendUint(b, uint64(d.I), 10)
	case BooleanOID:
		if d.I != 0 {
			return append(b, 't')
		}
		return append(b, 'f')
	case CharTypeOID:
		return appendCharType(b, d.S)
	case Float4OID:
		return appendFloat(b, ctx, d.Float(), 32)
	case Float8OID:
		return appendFloat(b, ctx, d.Float(), 64)
	case NumericOID:
		return appendNumeric(b, d.Decimal())
	case ByteaOID:
		return appendBytea(b, ctx, d.S)
	case DateOID:
		return appendDate(b, ctx, d.I)
	case TimeOID:
		return appendTime(b, d.I)
	case TimeTZOID:
		return appendTimeTZ(b, d.I)
	case TimestampOID:
		return appendTimestamp(b, ctx, d.I)
	case TimestampTZOID:
		return appendTimestampTZ(b, ctx, d.I)
	case IntervalOID:
		return appendInterval(b, ctx, d.Interval())
	case UUIDOID:
		return appendUUID(b, d.S)
	case TidOID:
		return appendTid(b, d.I)
	case PgLSNOID:
		return appendLSN(b, d.I)
	case Int2VectorOID, OIDVectorOID:
		return appendVector(b, d.Array())
	case RegclassOID, RegtypeOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID, RegroleOID, RegnamespaceOID, RegcollationOID, RegconfigOID, RegdictionaryOID:
		return appendReg(b, ctx, t, d)
	}
	switch t.Family {
	case ArrayFamily:
		return appendArray(b, ctx, d.Array())
	case TupleFamily:
		return appendRow(b, ctx, d.Tuple())
	case VoidFamily:
		return b
	}
	return append(b, d.S...)
}

// Text returns the value's text form.
func (t *T) Text(ctx *Context, d Datum) string {
	if t.Family == BytesFamily && t.OID != ByteaOID && t.OID != UUIDOID && t.OID != CharTypeOID {
		return d.S
	}
	var buffer [64]byte
	return string(AppendText(buffer[:0], ctx, t, d))
}

func invalidInput(t *T, text string) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidTextRepresentation, "invalid input syntax for type %s: \"%s\"", t.SQLName, text)
}

func outOfRange(t *T, text string) *pgerror.Error {
	return pgerror.Newf(pgerror.NumericValueOutOfRange, "value \"%s\" is out of range for type %s", text, t.SQLName)
}

func typeOutOfRange(t *T) *pgerror.Error {
	return pgerror.Newf(pgerror.NumericValueOutOfRange, "%s out of range", t.SQLName)
}

func cannotCast(from, to *T) *pgerror.Error {
	return pgerror.Newf(pgerror.CannotCoerce, "cannot cast type %s to %s", from.SQLName, to.SQLName)
}

// inputVolatility and outputVolatility are those of the type's input and
// output functions.
func inputVolatility(t *T) byte {
	switch t.OID {
	case DateOID, TimestampOID, TimestampTZOID, TimeTZOID, TimeOID, RegclassOID, RegtypeOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID, RegroleOID, RegnamespaceOID, RegcollationOID, RegconfigOID, RegdictionaryOID:
		return 's'
	}
	if t.Family == ArrayFamily || t.Family == TupleFamily {
		return 's'
	}
	return 'i'
}

func outputVolatility(t *T) byte {
	switch t.OID {
	case DateOID, TimestampOID, TimestampTZOID, RegclassOID, RegtypeOID, RegprocOID, RegprocedureOID, RegoperOID, RegoperatorOID, RegroleOID, RegnamespaceOID, RegcollationOID, RegconfigOID, RegdictionaryOID:
		return 's'
	}
	if t.Family == ArrayFamily || t.Family == TupleFamily {
		return 's'
	}
	return 'i'
}
