package node

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/txn/hlc"
)

// Version is Cairn's version; the build sets it.
var Version = "unknown"

// Config is what a node is started with. DefaultConfig has the defaults that
// the commands show.
type Config struct {
	StoreDir    string
	SQLAddress  string
	RPCAddress  string
	HTTPAddress string
	// AdvertiseRPC is how other nodes reach RPCAddress; empty: as it is.
	AdvertiseRPC string
	// Join are RPC addresses of nodes of the cluster. Empty for a single node.
	Join []string
	// SingleNode initializes a new store as a cluster of its own.
	SingleNode bool

	Insecure       bool
	InsecureRemote bool
	CertsDir       string
	Locality       string
	Cache          Size
	MaxSQLMemory   Size
	MaxOffset      time.Duration
	LogFormat      string
	LogLevel       string

	Logger *slog.Logger
	// FS holds the store; the machine's file system if nil.
	FS vfs.FS
	// Clock is the physical clock; the machine's if nil.
	Clock hlc.PhysicalClock
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		StoreDir:     "cairn-data",
		SQLAddress:   "127.0.0.1:26257",
		RPCAddress:   "127.0.0.1:26357",
		HTTPAddress:  "127.0.0.1:8080",
		Cache:        Size{percent: 25},
		MaxSQLMemory: Size{percent: 25},
		MaxOffset:    500 * time.Millisecond,
		LogFormat:    "human",
		LogLevel:     "info",
	}
}

// HintError is an error with what to do about it.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns the error without its hint.
func (e *HintError) Unwrap() error { return e.Err }

func hint(err error, format string, args ...any) error {
	return &HintError{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// validate checks what can be checked before anything is opened.
func (c *Config) validate() error {
	if c.Insecure == (c.CertsDir != "") {
		return hint(fmt.Errorf("either --insecure or --certs-dir is needed"),
			"--insecure is for trying Cairn on this machine; --certs-dir=DIR needs ca.crt, node.crt and node.key in DIR")
	}
	if !c.SingleNode && len(c.Join) == 0 {
		return hint(fmt.Errorf("--join is needed"),
			"name RPC addresses of the cluster's nodes (this one's own will do for the first); for a cluster of one node there is: cairn start-single-node")
	}
	for _, a := range []struct{ flag, address string }{{"--listen", c.SQLAddress}, {"--rpc", c.RPCAddress}, {"--http", c.HTTPAddress}} {
		host, port, err := net.SplitHostPort(a.address)
		if err != nil {
			return hint(fmt.Errorf("%s=%s is not HOST:PORT", a.flag, a.address), "for example %s=127.0.0.1:26257", a.flag)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%s=%s: the port must be a number up to 65535", a.flag, a.address)
		}
		if c.Insecure && !c.InsecureRemote && !isLoopback(host) {
			return hint(fmt.Errorf("%s=%s: --insecure listens on loopback addresses only", a.flag, a.address),
				"use --certs-dir, or say --insecure-on-any-address if everyone who reaches %s may be superuser", a.address)
		}
	}
	if c.AdvertiseRPC != "" {
		if _, _, err := net.SplitHostPort(c.AdvertiseRPC); err != nil {
			return hint(fmt.Errorf("--advertise-rpc=%s is not HOST:PORT", c.AdvertiseRPC), "for example --advertise-rpc=db1.example.org:26357")
		}
	} else if host, _, _ := net.SplitHostPort(c.RPCAddress); !c.SingleNode && isUnspecified(host) {
		return hint(fmt.Errorf("--rpc=%s: other nodes can't reach this one by that", c.RPCAddress),
			"say how they do with --advertise-rpc=HOST:PORT, or listen on one address")
	}
	if c.MaxOffset <= 0 {
		return fmt.Errorf("--max-offset must be positive")
	}
	return nil
}

// isUnspecified reports whether host stands for all of a machine's addresses.
func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// NewLogger returns a logger in one of the formats human and json.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level=%s: use debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "human":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("--log-format=%s: use human or json", format)
	}
}

// Size is an amount of memory: bytes, or a share of the machine's memory. It
// is a flag's value.
type Size struct {
	bytes   int64
	percent float64
}

// Bytes returns a Size of n bytes.
func Bytes(n int64) Size { return Size{bytes: n} }

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// String implements pflag.Value.
func (s *Size) String() string {
	if s.percent > 0 {
		return strconv.FormatFloat(s.percent, 'f', -1, 64) + "%"
	}
	return FormatSize(s.bytes)
}

var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	invalid := fmt.Errorf("%q is no size: write 256MiB, 1GiB or 25%%", text)
	if share, ok := strings.CutSuffix(text, "%"); ok {
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || p <= 0 || p > 90 {
			return fmt.Errorf("%q is no share: write a number up to 90, as in 25%%", text)
		}
		*s = Size{percent: p}
		return nil
	}
	factor := int64(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = number, u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n <= 0 || n*float64(factor) > 1<<60 {
		return invalid
	}
	*s = Size{bytes: int64(n * float64(factor))}
	return nil
}

// Resolve returns the number of bytes.
func (s Size) Resolve() int64 {
	if s.percent > 0 {
		return int64(s.percent / 100 * float64(machineMemory()))
	}
	return s.bytes
}

// machineMemory returns the machine's memory in bytes, or the process's limit
// (cgroup v2) where that is lower; 4 GiB where neither can be read.
func machineMemory() int64 {
	memory := int64(4 << 30)
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err == nil {
			memory = kib << 10
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			memory = min(memory, limit)
		}
	}
	return memory
}

// FormatSize writes bytes in binary units.
func FormatSize(n int64) string {
	switch {
	case n >= 1<<30:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + "GiB"
	case n >= 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + "MiB"
	case n >= 1<<10:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + "KiB"
	default:
		return strconv.FormatInt(n, 10) + "B"
	}
}
