package sql

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairndb/cairn/sql/parser"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// settings are the values of a session's settings. They are immutable: SET
// makes new ones, and a transaction that is rolled back returns to the old.
type settings struct {
	// values holds those that differ from the default, by lower-case name, as SHOW
	// prints them.
	values map[string]string

	// What values mean, for those that have an effect here.
	statementTimeout, lockTimeout time.Duration
	idleTransaction, idleSession  time.Duration
	minMessages                   int
	isolation                     string
	readOnly, deferrable          bool
	searchPath                    []string
	location                      *time.Location
	dateStyle                     types.DateStyle
	dateOrder                     types.DateOrder
	intervalStyle                 types.IntervalStyle
	extraFloatDigits              types.ExtraFloatDigits
	byteaEscape                   bool
	applicationName               string
}

// messageLevels are the levels of client_min_messages, rising.
var messageLevels = []string{"debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"}

// standardSettings are the defaults.
func standardSettings() *settings {
	v := &settings{values: map[string]string{}}
	for _, g := range settingList {
		if g.apply != nil {
			g.apply(v, g.standard)
		}
	}
	return v
}

// get returns a value as SHOW prints it.
func (v *settings) get(g *setting) string {
	if value, ok := v.values[strings.ToLower(g.name)]; ok {
		return value
	}
	return g.standard
}

// with returns settings in which one has another value, which is canonical.
func (v *settings) with(g *setting, value string) *settings {
	n := *v
	n.values = maps.Clone(v.values)
	n.values[strings.ToLower(g.name)] = value
	if g.apply != nil {
		g.apply(&n, value)
	}
	return &n
}

// installSettings says what settings do.
func installSettings() {
	apply := func(name string, f func(v *settings, value string)) { settingTable[strings.ToLower(name)].apply = f }
	read := func(name string, f func(text string) (string, error)) { settingTable[strings.ToLower(name)].read = f }
	duration := func(name string, field func(v *settings) *time.Duration) {
		g := settingTable[name]
		apply(name, func(v *settings, value string) {
			ms, _ := g.readNumber(value)
			*field(v) = time.Duration(ms * float64(time.Millisecond))
		})
	}
	duration("statement_timeout", func(v *settings) *time.Duration { return &v.statementTimeout })
	duration("lock_timeout", func(v *settings) *time.Duration { return &v.lockTimeout })
	duration("idle_in_transaction_session_timeout", func(v *settings) *time.Duration { return &v.idleTransaction })
	duration("idle_session_timeout", func(v *settings) *time.Duration { return &v.idleSession })
	apply("client_min_messages", func(v *settings, value string) { v.minMessages = slices.Index(messageLevels, value) })
	apply("default_transaction_isolation", func(v *settings, value string) { v.isolation = value })
	apply("default_transaction_read_only", func(v *settings, value string) { v.readOnly = value == "on" })
	apply("default_transaction_deferrable", func(v *settings, value string) { v.deferrable = value == "on" })
	apply("application_name", func(v *settings, value string) { v.applicationName = value })
	apply("bytea_output", func(v *settings, value string) { v.byteaEscape = value == "escape" })
	apply("extra_float_digits", func(v *settings, value string) {
		n, _ := strconv.Atoi(value)
		v.extraFloatDigits = types.ExtraFloatDigits(n - 1)
	})
	apply("search_path", func(v *settings, value string) { v.searchPath, _ = splitIdentifiers(value) })
	read("search_path", func(text string) (string, error) {
		if _, ok := splitIdentifiers(text); !ok {
			return "", settingTable["search_path"].invalid(text).WithDetail("List syntax is invalid.")
		}
		return text, nil
	})
	read("client_encoding", readEncoding)
	levels := settingTable["client_min_messages"]
	levels.read = func(text string) (string, error) {
		if lower(text) == "debug" {
			return "debug2", nil
		}
		return levels.readChoice(text)
	}
	read("DateStyle", readDateStyle)
	apply("DateStyle", applyDateStyle)
	apply("IntervalStyle", func(v *settings, value string) {
		v.intervalStyle = types.IntervalStyle(max(0, slices.Index([]string{"postgres", "postgres_verbose", "sql_standard", "iso_8601"}, value)))
	})
	read("TimeZone", func(text string) (string, error) {
		name, _, err := loadZone(text)
		return name, err
	})
	apply("TimeZone", func(v *settings, value string) { _, v.location, _ = loadZone(value) })
	read("application_name", func(text string) (string, error) {
		// As PostgreSQL: what isn't printable ASCII becomes a question mark.
		b := []byte(text)
		for i, c := range b {
			if c < 32 || c > 126 {
				b[i] = '?'
			}
		}
		return truncateName(string(b)), nil
	})
}

func truncateName(name string) string {
	const most = 63
	if len(name) <= most {
		return name
	}
	end := most
	for end > 0 && name[end]&0xc0 == 0x80 {
		end--
	}
	return name[:end]
}

func readEncoding(text string) (string, error) {
	var letters strings.Builder
	for _, c := range strings.ToLower(text) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			letters.WriteRune(c)
		}
	}
	switch letters.String() {
	case "utf8", "unicode":
		return "UTF8", nil
	case "latin1", "latin2", "latin9", "sqlascii", "win1250", "win1251", "win1252", "iso88595", "koi8r", "eucjp", "sjis", "big5", "gbk", "euckr":
		return "", pgerror.Newf(pgerror.FeatureNotSupported, "conversion between %s and UTF8 is not supported", strings.ToUpper(letters.String())).WithHint("Use the client encoding UTF8.")
	}
	return "", settingTable["client_encoding"].invalid(text)
}

// dateStyleNames and dateOrderNames are as SHOW prints them.
var (
	dateStyleNames = []string{"ISO", "Postgres", "SQL", "German"}
	dateOrderNames = []string{"MDY", "DMY", "YMD"}
)

func readDateStyle(text string) (string, error) {
	style, order := "ISO", ""
	seenStyle := ""
	for word := range strings.SplitSeq(text, ",") {
		w := strings.ToLower(strings.TrimSpace(word))
		newStyle, newOrder := "", ""
		switch {
		case w == "iso":
			newStyle = "ISO"
		case w == "sql":
			newStyle = "SQL"
		case strings.HasPrefix(w, "postgres"):
			newStyle = "Postgres"
		case w == "german":
			newStyle = "German"
			if order == "" {
				order = "DMY"
			}
		case w == "ymd":
			newOrder = "YMD"
		case w == "dmy" || strings.HasPrefix(w, "euro"):
			newOrder = "DMY"
		case w == "mdy" || w == "us" || strings.HasPrefix(w, "noneuro"):
			newOrder = "MDY"
		case w == "default":
		default:
			return "", settingTable["datestyle"].invalid(text).WithDetail("Unrecognized key word: \"%s\".", strings.TrimSpace(word))
		}
		if newStyle != "" {
			if seenStyle != "" && seenStyle != newStyle {
				return "", settingTable["datestyle"].invalid(text).WithDetail(`Conflicting "datestyle" specifications.`)
			}
			seenStyle, style = newStyle, newStyle
		}
		if newOrder != "" {
			order = newOrder
		}
	}
	if order == "" {
		order = "MDY"
	}
	return style + ", " + order, nil
}

func applyDateStyle(v *settings, value string) {
	style, order, _ := strings.Cut(value, ", ")
	v.dateStyle = types.DateStyle(max(0, slices.Index(dateStyleNames, style)))
	v.dateOrder = types.DateOrder(max(0, slices.Index(dateOrderNames, order)))
}

// splitIdentifiers reads a list of names, quoted where needed.
func splitIdentifiers(text string) ([]string, bool) {
	var names []string
	rest := strings.TrimSpace(text)
	if rest == "" {
		return nil, true
	}
	for {
		var name string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			var b strings.Builder
			for {
				i := strings.IndexByte(rest[end:], '"')
				if i < 0 {
					return nil, false
				}
				b.WriteString(rest[end : end+i])
				end += i + 1
				if end < len(rest) && rest[end] == '"' {
					b.WriteByte('"')
					end++
					continue
				}
				break
			}
			name, rest = b.String(), rest[end:]
		} else {
			end := strings.IndexAny(rest, ", \t\n\r\f")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, false
			}
			name, rest = strings.ToLower(rest[:end]), rest[end:]
		}
		names = append(names, name)
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return names, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = strings.TrimSpace(rest[1:])
		if rest == "" {
			return nil, false
		}
	}
}

// settingText turns the values of SET into the text of one value.
func settingText(g *setting, values []parser.Expression) (string, error) {
	list := g.name == "search_path" || g.name == "DateStyle" || g.name == "temp_tablespaces"
	if len(values) > 1 && !list {
		return "", pgerror.Newf(pgerror.InvalidParameterValue, "SET %s takes only one argument", g.name)
	}
	var parts []string
	for _, e := range values {
		text, err := constantText(g, e)
		if err != nil {
			return "", err
		}
		if list && g.name != "DateStyle" {
			text = types.QuoteIdentifier(text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", "), nil
}

func constantText(g *setting, e parser.Expression) (string, error) {
	switch k := e.(type) {
	case *parser.Constant:
		if k.Kind == parser.IntegerConstant {
			return strconv.Itoa(int(k.Int)), nil
		}
		return k.Text, nil
	case *parser.ColumnReference:
		return strings.Join(k.Names, "."), nil
	case *parser.Binary:
		if k.Left == nil && k.Operator == "-" {
			text, err := constantText(g, k.Right)
			return "-" + text, err
		}
	case *parser.Cast:
		// SET TIME ZONE INTERVAL '…'
		text, err := constantText(g, k.Argument)
		if seconds, ok := clockOffset(text); ok {
			text = strconv.FormatFloat(float64(seconds)/3600, 'f', -1, 64)
		}
		return text, err
	}
	return "", pgerror.Newf(pgerror.InvalidParameterValue, "invalid value for parameter \"%s\"", g.name)
}
