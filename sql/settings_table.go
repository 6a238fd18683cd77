package sql

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// settingsText has the facts about PostgreSQL's settings; what Cairn makes of
// each is in this package's code.
//
//go:embed settings.tsv
var settingsText string

// setting is a run-time parameter.
type setting struct {
	name        string // as SHOW and pg_settings write it
	standard    string // the default, as SHOW prints it
	unit        string // "ms", "s", "min", "kB", "8kB", "B"; "": none
	category    string
	description string
	context     string // who may change it: user, superuser, internal, postmaster …
	kind        string // bool, integer, real, enum, string
	minimum     string
	maximum     string
	choices     []string // of an enum
	// reported: the client is told of each change (ParameterStatus).
	reported bool
	// hidden ones are not in SHOW ALL.
	hidden bool
	// only lists the values that keep the meaning of statements as it is; nil: all
	// valid ones do, or are honoured.
	only []string
	// read turns a value as written into the one that SHOW prints; nil: as the
	// kind says.
	read func(text string) (string, error)
	// apply puts the value where it has its effect; nil: nowhere.
	apply func(v *settings, value string)
}

// settingTable holds all settings by lower-case name; settingList in the order
// of their names.
var (
	settingTable = make(map[string]*setting)
	settingList  []*setting
)

// reportedSettings are those of PostgreSQL 15, in its order.
var reportedSettings = []string{"application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "in_hot_standby", "integer_datetimes", "IntervalStyle",
	"is_superuser", "server_encoding", "server_version", "session_authorization", "standard_conforming_strings", "TimeZone"}

// onlyValues lists settings whose other values would change what statements
// mean, in ways that Cairn does not have.
var onlyValues = map[string][]string{
	"array_nulls":                 {"on"},
	"transform_null_equals":       {"off"},
	"standard_conforming_strings": {"on"},
	"quote_all_identifiers":       {"off"},
	"default_table_access_method": {"heap"},
	"default_tablespace":          {"", "pg_default"},
	"temp_tablespaces":            {"", "pg_default"},
	"session_replication_role":    {"origin", "local"},
	"allow_system_table_mods":     {"off"},
	"password_encryption":         {"scram-sha-256"},
	"lc_monetary":                 {"C", "POSIX"},
	"lc_numeric":                  {"C", "POSIX"},
	"lc_time":                     {"C", "POSIX"},
	"local_preload_libraries":     {""},
	"session_preload_libraries":   {""},
	"timezone_abbreviations":      {"Default"},
}

func init() {
	for line := range strings.Lines(settingsText) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		g := &setting{name: f[0], standard: f[1], unit: f[2], category: f[3], description: f[4], context: f[5], kind: f[6], minimum: f[7], maximum: f[8]}
		if f[9] != "" {
			g.choices = strings.Split(f[9], ",")
		}
		settingList = append(settingList, g)
	}
	user := func(name, standard, kind string) *setting {
		return &setting{name: name, standard: standard, category: "Client Connection Defaults / Statement Behavior", context: "user", kind: kind, hidden: true}
	}
	settingList = append(settingList, user("is_superuser", "off", "bool"), user("session_authorization", "", "string"), user("role", "none", "string"), user("seed", "", "real"))
	settingList[len(settingList)-4].context = "internal"
	slices.SortFunc(settingList, func(a, b *setting) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	for _, g := range settingList {
		g.only = onlyValues[g.name]
		g.reported = slices.Contains(reportedSettings, g.name)
		settingTable[strings.ToLower(g.name)] = g
	}
	installSettings()
	for _, g := range settingList {
		if g.kind == "integer" && g.unit != "" {
			if n, err := strconv.ParseInt(g.standard, 10, 64); err == nil {
				g.standard = formatUnits(n, g.unit)
			}
		}
	}
}

// findSetting returns a setting by its name in any case; 42704 if there is
// none.
func findSetting(name string) (*setting, error) {
	if g, ok := settingTable[name]; ok {
		return g, nil
	}
	if g, ok := settingTable[strings.ToLower(name)]; ok {
		return g, nil
	}
	return nil, pgerror.Newf(pgerror.UndefinedObject, "unrecognized configuration parameter \"%s\"", name)
}

// canonical returns the value as SHOW prints it, or says why it can't be.
func (g *setting) canonical(text string) (string, error) {
	value := text
	var err error
	switch {
	case g.read != nil:
		value, err = g.read(text)
	case g.kind == "bool":
		on, ok := parseBool(text)
		if !ok {
			return "", pgerror.Newf(pgerror.InvalidParameterValue, "parameter \"%s\" requires a Boolean value", g.name)
		}
		value = onOff(on)
	case g.kind == "integer":
		value, err = g.readInteger(text)
	case g.kind == "real":
		value, err = g.readReal(text)
	case g.kind == "enum":
		value, err = g.readChoice(text)
	}
	if err != nil {
		return "", err
	}
	if g.only != nil && !slices.Contains(g.only, value) {
		return "", pgerror.Unsupported("the value \"" + text + "\" for parameter \"" + g.name + "\"")
	}
	return value, nil
}

func (g *setting) invalid(text string) *pgerror.Error {
	return pgerror.Newf(pgerror.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", g.name, text)
}

// parseBool reads PostgreSQL's booleans: unambiguous beginnings of words.
func parseBool(text string) (value, ok bool) {
	t := strings.ToLower(strings.TrimSpace(text))
	if t == "" {
		return false, false
	}
	switch {
	case strings.HasPrefix("true", t), strings.HasPrefix("yes", t), t == "on", t == "1":
		return true, true
	case strings.HasPrefix("false", t), strings.HasPrefix("no", t), t == "of", t == "off", t == "0":
		return false, true
	}
	return false, false
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (g *setting) readChoice(text string) (string, error) {
	for _, c := range g.choices {
		if strings.EqualFold(c, text) {
			return c, nil
		}
	}
	// Booleans stand for on and off where these are choices.
	if on, ok := parseBool(text); ok && slices.Contains(g.choices, onOff(on)) {
		return onOff(on), nil
	}
	e := pgerror.Newf(pgerror.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", lower(g.name), text)
	return "", e.WithHint("Available values: %s.", strings.Join(g.choices, ", "))
}

// unitFactors lists, for each base, units from large to small with their size
// in the base.
var unitFactors = map[string][]struct {
	name string
	size float64
}{
	"ms":  {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}, {"us", 0.001}},
	"s":   {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}, {"ms", 0.001}, {"us", 0.000001}},
	"min": {{"d", 1440}, {"h", 60}, {"min", 1}, {"s", 1. / 60}, {"ms", 1. / 60000}},
	"B":   {{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1}},
	"kB":  {{"TB", 1 << 30}, {"GB", 1 << 20}, {"MB", 1 << 10}, {"kB", 1}, {"B", 1. / 1024}},
	"8kB": {{"TB", 1 << 27}, {"GB", 1 << 17}, {"MB", 128}, {"kB", 1. / 8}, {"B", 1. / 8192}},
	"MB":  {{"TB", 1 << 20}, {"GB", 1 << 10}, {"MB", 1}, {"kB", 1. / 1024}},
}

// readNumber reads a number with an optional unit, in the setting's unit.
func (g *setting) readNumber(text string) (float64, error) {
	t := strings.TrimSpace(text)
	end := len(t)
	for end > 0 && (t[end-1] >= 'a' && t[end-1] <= 'z' || t[end-1] >= 'A' && t[end-1] <= 'Z') {
		end--
	}
	number, unit := strings.TrimSpace(t[:end]), t[end:]
	if strings.HasPrefix(strings.ToLower(t), "0x") {
		number, unit = t, ""
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		n, intErr := strconv.ParseInt(number, 0, 64)
		if intErr != nil {
			return 0, g.invalid(text)
		}
		v = float64(n)
	}
	if unit == "" {
		return v, nil
	}
	for _, u := range unitFactors[g.unit] {
		if u.name == unit {
			return v * u.size, nil
		}
	}
	e := g.invalid(text)
	switch {
	case g.unit == "":
	case strings.HasSuffix(g.unit, "B"):
		e = e.WithHint(`Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".`)
	default:
		e = e.WithHint(`Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".`)
	}
	return 0, e
}

func (g *setting) readInteger(text string) (string, error) {
	v, err := g.readNumber(text)
	if err != nil {
		return "", err
	}
	n := roundToEven(v)
	low, _ := strconv.ParseInt(g.minimum, 10, 64)
	high, _ := strconv.ParseInt(g.maximum, 10, 64)
	if float64(n) != float64(roundToEven(v)) || n < low || n > high {
		unit := ""
		if g.unit != "" {
			unit = " " + g.unit
		}
		return "", pgerror.Newf(pgerror.InvalidParameterValue, "%d%s is outside the valid range for parameter \"%s\" (%s .. %s)", n, unit, g.name, g.minimum, g.maximum)
	}
	return formatUnits(n, g.unit), nil
}

func roundToEven(v float64) int64 {
	switch {
	case v > 1<<62:
		return 1 << 62
	case v < -(1 << 62):
		return -(1 << 62)
	}
	n := int64(v)
	switch rest := v - float64(n); {
	case rest > 0.5 || rest == 0.5 && n%2 != 0:
		n++
	case rest < -0.5 || rest == -0.5 && n%2 != 0:
		n--
	}
	return n
}

func (g *setting) readReal(text string) (string, error) {
	v, err := g.readNumber(text)
	if err != nil {
		return "", err
	}
	low, lowErr := strconv.ParseFloat(g.minimum, 64)
	high, highErr := strconv.ParseFloat(g.maximum, 64)
	if lowErr == nil && v < low || highErr == nil && v > high {
		return "", pgerror.Newf(pgerror.InvalidParameterValue, "%s is outside the valid range for parameter \"%s\" (%s .. %s)", strconv.FormatFloat(v, 'g', -1, 64), g.name, g.minimum, g.maximum)
	}
	return strconv.FormatFloat(v, 'g', -1, 64) + g.unit, nil
}

// formatUnits prints a number in the largest unit that leaves it whole.
func formatUnits(n int64, unit string) string {
	if unit == "" || n <= 0 {
		return strconv.FormatInt(n, 10)
	}
	for _, u := range unitFactors[unit] {
		if u.size >= 1 && n%int64(u.size) == 0 {
			return strconv.FormatInt(n/int64(u.size), 10) + u.name
		}
		if u.size < 1 && u.size*1024 >= 1 {
			return strconv.FormatInt(int64(float64(n)/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + unit
}
