package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cairndb/cairn/kv/server"
)

// statistics returns the store's figures, zero until its ranges are served.
func (n *Node) statistics() server.Statistics {
	select {
	case <-n.serving:
		return n.kv.Statistics()
	default:
		return server.Statistics{}
	}
}

// registerMetrics registers the node's figures; they are zero until the layer
// that they are about runs.
func (n *Node) registerMetrics(r *prometheus.Registry) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("cairn_replicas", "Replicas of ranges on this node.", func() float64 { return float64(n.statistics().Ranges) })
	gauge("cairn_leases", "Ranges whose lease this node holds.", func() float64 { return float64(n.statistics().Leases) })
	gauge("cairn_leaders", "Ranges whose Raft group this node leads.", func() float64 { return float64(n.statistics().Leaders) })
	gauge("cairn_ranges_underreplicated", "Ranges that this node leads that have fewer replicas than they should.",
		func() float64 { return float64(n.statistics().Underreplicated) })
	gauge("cairn_store_used_bytes", "Bytes of the store's files.", func() float64 { return float64(n.statistics().DiskBytes) })
	gauge("cairn_ready", "1 while the node serves clients.", func() float64 {
		if n.notReady() == "" {
			return 1
		}
		return 0
	})
	gauge("cairn_sql_connections", "Clients' connections.", func() float64 {
		if !n.ready.Load() {
			return 0
		}
		return float64(n.sql.Sessions())
	})
	counter("cairn_sql_statements_total", "Statements that clients ran.", func() float64 {
		if !n.ready.Load() {
			return 0
		}
		return float64(n.sql.Statements())
	})
}
