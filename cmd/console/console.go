// Package console is a node's HTTP face for operators: /health for load
// balancers and /metrics for Prometheus.
//
//	GET /health          200 while the process runs
//	GET /health?ready=1  200 while the node serves clients, otherwise 503 and why
//	GET /metrics         what Registry collects, in Prometheus' text format
//	GET /debug/pprof/    Go's profiles of the process: CPU, heap, goroutines, …
package console

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry with the process's own metrics.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// health is the body of /health.
type health struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

// NewHandler returns the handler of all of a node's pages. notReady says why
// the node does not serve clients now, "" while it does; it may be called at
// any time.
func NewHandler(registry *prometheus.Registry, notReady func() string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		reason := notReady()
		w.Header().Set("Content-Type", "application/json")
		if reason != "" && r.FormValue("ready") == "1" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// The client may be gone: nobody is left to be told.
		_ = json.NewEncoder(w).Encode(health{Ready: reason == "", Reason: reason})
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
