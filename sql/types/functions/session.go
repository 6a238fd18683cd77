package functions

import (
	"crypto/rand"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/sql/types"
)

// sessionFunc is a function that asks the session.
type sessionFunc func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error)

// session defines a function that asks the session.
func (d definitions) session(signature string, f sessionFunc) {
	d.scalar(signature, func(ctx *types.Context, a []types.Datum) (types.Datum, error) {
		s, err := sessionOf(ctx)
		if err != nil {
			return types.DNull, err
		}
		return f(ctx, s, a)
	})
}

// textOrNull is a text, or NULL where there is none.
func textOrNull(s string, ok bool, err error) (types.Datum, error) {
	if err != nil || !ok {
		return types.DNull, err
	}
	return types.String(s), nil
}

func defineSequences(d definitions) {
	d.session("nextval(regclass)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		v, err := s.NextValue(ctx.Ctx, types.OID(a[0].I))
		return types.Int(v), err
	})
	d.session("currval(regclass)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		v, err := s.CurrentValue(ctx.Ctx, types.OID(a[0].I))
		return types.Int(v), err
	})
	d.session("lastval()", func(ctx *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		v, err := s.LastValue(ctx.Ctx)
		return types.Int(v), err
	})
	set := func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		called := len(a) < 3 || a[2].Bool()
		return a[1], s.SetValue(ctx.Ctx, types.OID(a[0].I), a[1].I, called)
	}
	d.session("setval(regclass,int8)", set)
	d.session("setval(regclass,int8,bool)", set)
	d.session("pg_sequence_last_value(regclass)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		v, called, err := s.LastSequenceValue(ctx.Ctx, types.OID(a[0].I))
		if err != nil || !called {
			return types.DNull, err
		}
		return types.Int(v), nil
	})
	d.session("pg_sequence_parameters(oid)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		p, err := s.SequenceParameters(ctx.Ctx, types.OID(a[0].I))
		if err != nil {
			return types.DNull, err
		}
		return types.TupleOf(&types.Tuple{
			Types: []*types.T{types.Int8, types.Int8, types.Int8, types.Int8, types.Boolean, types.Int8, types.OIDType},
			Elems: []types.Datum{types.Int(p.Start), types.Int(p.Minimum), types.Int(p.Maximum), types.Int(p.Increment), types.Bool(p.Cycle),
				types.Int(p.Cache), types.Int(int64(p.Type))},
		}), nil
	})
	d.session("pg_get_serial_sequence(text,text)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		return textOrNull(s.SerialSequence(ctx.Ctx, a[0].S, a[1].S))
	})
}

func defineSession(d definitions) {
	defineIdentity(d)
	defineSettings(d)
	defineConnection(d)
	defineTransactions(d)
	defineServer(d)
	d.scalar("gen_random_uuid()", func(*types.Context, []types.Datum) (types.Datum, error) {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return types.DNull, err
		}
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		return types.String(string(b[:])), nil
	})
}

func defineIdentity(d definitions) {
	for _, name := range []string{"current_user", "getpgusername"} {
		d.session(name+"()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
			return types.String(s.CurrentUser()), nil
		})
	}
	d.session("session_user()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.String(s.SessionUser()), nil
	})
	d.session("current_database()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.String(s.CurrentDatabase()), nil
	})
	d.session("current_schema()", func(ctx *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		path, err := s.SearchPath(ctx.Ctx, false)
		if err != nil || len(path) == 0 {
			return types.DNull, err
		}
		return types.String(path[0]), nil
	})
	d.session("current_schemas(bool)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		path, err := s.SearchPath(ctx.Ctx, a[0].Bool())
		if err != nil {
			return types.DNull, err
		}
		elements := make([]types.Datum, len(path))
		for i, name := range path {
			elements[i] = types.String(name)
		}
		return arrayOf(types.Name, elements), nil
	})
	d.session("version()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.String(s.Version()), nil
	})
	d.session("current_query()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.String(s.CurrentQuery()), nil
	})
}

func defineSettings(d definitions) {
	current := func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		value, ok := s.Setting(ctx.Ctx, a[0].S)
		switch {
		case ok:
			return types.String(value), nil
		case len(a) > 1 && a[1].Bool():
			return types.DNull, nil
		}
		return types.DNull, pgerror.Newf(pgerror.UndefinedObject, "unrecognized configuration parameter \"%s\"", a[0].S)
	}
	d.session("current_setting(text)", current)
	d.session("current_setting(text,bool)", current)
	d.session("set_config(text,text,bool)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		if a[0].Null {
			return types.DNull, pgerror.New(pgerror.NullValueNotAllowed, "SET requires parameter name")
		}
		value, err := s.SetSetting(ctx.Ctx, a[0].S, a[1].S, !a[2].Null && a[2].Bool())
		return types.String(value), err
	})
}

func defineConnection(d definitions) {
	d.session("pg_backend_pid()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.Int(int64(s.BackendPID())), nil
	})
	port := func(p uint16, known bool) (types.Datum, error) {
		if !known {
			return types.DNull, nil
		}
		return types.Int(int64(p)), nil
	}
	d.session("inet_client_port()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return port(s.ClientAddress().Port(), s.ClientAddress().IsValid())
	})
	d.session("inet_server_port()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return port(s.ServerAddress().Port(), s.ServerAddress().IsValid())
	})
	d.session("pg_cancel_backend(int4)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		found, err := s.CancelBackend(ctx.Ctx, int32(a[0].I))
		return backendAnswer(s, a[0].I, found, err)
	})
	d.session("pg_terminate_backend(int4,int8)", func(ctx *types.Context, s types.SessionFunctions, a []types.Datum) (types.Datum, error) {
		if a[1].I < 0 {
			return types.DNull, pgerror.New(pgerror.NumericValueOutOfRange, "\"timeout\" must not be negative")
		}
		found, err := s.TerminateBackend(ctx.Ctx, int32(a[0].I))
		return backendAnswer(s, a[0].I, found, err)
	})
	none := func(*types.Context, []types.Datum) (types.Datum, error) {
		return arrayOf(types.Int4, nil), nil
	}
	d.scalar("pg_blocking_pids(int4)", none)
	d.scalar("pg_safe_snapshot_blocking_pids(int4)", none)
	d.rows("pg_listening_channels()", func(*types.Context, []types.Datum) (types.RowSource, error) { return &valueRows{}, nil })
}

func backendAnswer(s types.SessionFunctions, pid int64, found bool, err error) (types.Datum, error) {
	if err == nil && !found {
		s.Notice("WARNING", pgerror.Warning, "PID "+strconv.FormatInt(pid, 10)+" is not a PostgreSQL backend process")
	}
	return types.Bool(found), err
}

func defineTransactions(d definitions) {
	current := func(ctx *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		id, err := s.TransactionID(ctx.Ctx)
		return types.Int(int64(id)), err
	}
	assigned := func(ctx *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		id, ok, err := s.TransactionIDIfAssigned(ctx.Ctx)
		if err != nil || !ok {
			return types.DNull, err
		}
		return types.Int(int64(id)), nil
	}
	d.session("txid_current()", current)
	d.session("pg_current_xact_id()", current)
	d.session("txid_current_if_assigned()", assigned)
	d.session("pg_current_xact_id_if_assigned()", assigned)
	for _, suffix := range []string{"lock", "lock_shared", "xact_lock", "xact_lock_shared", "unlock", "unlock_shared"} {
		names := []string{"pg_advisory_" + suffix}
		if strings.Contains(suffix, "lock") && !strings.HasPrefix(suffix, "un") {
			names = append(names, "pg_try_advisory_"+suffix)
		}
		for _, name := range names {
			// A lock that isn't held by all nodes would be a lie.
			refuse := func(*types.Context, []types.Datum) (types.Datum, error) {
				return types.DNull, pgerror.Unsupported("function " + name)
			}
			d.scalar(name+"(int8)", refuse)
			d.scalar(name+"(int4,int4)", refuse)
		}
	}
	d.scalar("pg_advisory_unlock_all()", func(*types.Context, []types.Datum) (types.Datum, error) {
		return types.Datum{}, nil // none can be held
	})
	d.scalar("pg_notify(text,text)", func(*types.Context, []types.Datum) (types.Datum, error) {
		return types.DNull, pgerror.Unsupported("function pg_notify")
	})
}

func defineServer(d definitions) {
	no := func(*types.Context, []types.Datum) (types.Datum, error) { return types.Bool(false), nil }
	null := func(*types.Context, []types.Datum) (types.Datum, error) { return types.DNull, nil }
	zero := func(*types.Context, []types.Datum) (types.Datum, error) { return types.Int(0), nil }
	d.scalar("pg_is_in_recovery()", no)
	d.scalar("pg_jit_available()", no)
	d.scalar("pg_is_other_temp_schema(oid)", no)
	d.scalar("pg_my_temp_schema()", zero)
	d.scalar("pg_trigger_depth()", zero)
	d.scalar("pg_last_xact_replay_timestamp()", null)
	d.scalar("pg_current_logfile()", null)
	d.scalar("pg_notification_queue_usage()", func(*types.Context, []types.Datum) (types.Datum, error) { return types.Float(0), nil })
	d.session("pg_postmaster_start_time()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.Int(s.ServerStartTime()), nil
	})
	defineIndexProperties(d)
	d.rows("pg_timezone_names()", func(ctx *types.Context, _ []types.Datum) (types.RowSource, error) {
		rows := &sliceRows{}
		for _, name := range types.TimeZoneNames() {
			location, err := types.LoadLocation(name)
			if err != nil {
				continue
			}
			moment := types.TimeOf(ctx.StatementTime).In(location)
			abbreviation, offset := moment.Zone()
			rows.rows = append(rows.rows, []types.Datum{types.String(name), types.String(abbreviation),
				types.IntervalOf(types.IntervalValue{Micros: int64(offset) * microsPerSecond}), types.Bool(moment.IsDST())})
		}
		return rows, nil
	})
	d.rows("pg_timezone_abbrevs()", func(*types.Context, []types.Datum) (types.RowSource, error) {
		rows := &sliceRows{}
		for _, z := range types.TimeZoneAbbreviations() {
			rows.rows = append(rows.rows, []types.Datum{types.String(z.Name),
				types.IntervalOf(types.IntervalValue{Micros: int64(z.Offset) * microsPerSecond}), types.Bool(z.Summer)})
		}
		return rows, nil
	})
	d.session("pg_conf_load_time()", func(_ *types.Context, s types.SessionFunctions, _ []types.Datum) (types.Datum, error) {
		return types.Int(s.SettingsLoadTime()), nil
	})
}

// defineIndexProperties tells what indexes can do: all are ordered.
func defineIndexProperties(d definitions) {
	answer := func(properties map[string]bool) types.EvalFunc {
		return func(_ *types.Context, a []types.Datum) (types.Datum, error) {
			has, known := properties[strings.ToLower(a[len(a)-1].S)]
			if !known {
				return types.DNull, nil
			}
			return types.Bool(has), nil
		}
	}
	d.scalar("pg_indexam_has_property(oid,text)", answer(map[string]bool{
		"can_order": true, "can_unique": true, "can_multi_col": true, "can_exclude": false, "can_include": true,
	}))
	d.scalar("pg_index_has_property(regclass,text)", answer(map[string]bool{
		"clusterable": false, "index_scan": true, "bitmap_scan": false, "backward_scan": true,
	}))
}
