package node

import (
	"errors"
	"testing"
)

func TestSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
	}{{"1", 1}, {"256MiB", 256 << 20}, {"1.5GiB", 3 << 29}, {"10 MB", 10e6}, {"2kB", 2000}} {
		var s Size
		if err := s.Set(c.text); err != nil || s.Resolve() != c.want {
			t.Errorf("%s: %d, %v", c.text, s.Resolve(), err)
		}
	}
	for _, text := range []string{"", "x", "-1", "0", "120%", "0%", "5XiB", "1e30GiB"} {
		var s Size
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %d", text, s.Resolve())
		}
	}
	var s Size
	if err := s.Set("50%"); err != nil || s.Resolve() <= 0 || s.Resolve() != machineMemory()/2 {
		t.Errorf("50%%: %d, %v", s.Resolve(), err)
	}
}

func TestConfigRefusesWhatWouldSurprise(t *testing.T) {
	valid := DefaultConfig()
	valid.SingleNode, valid.Insecure = true, true
	if err := valid.validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"neither insecure nor certificates": func(c *Config) { c.Insecure = false },
		"both insecure and certificates":    func(c *Config) { c.CertsDir = "x" },
		"insecure beyond loopback":          func(c *Config) { c.SQLAddress = "0.0.0.0:26257" },
		"insecure on all interfaces":        func(c *Config) { c.RPCAddress = ":26357" },
		"no port":                           func(c *Config) { c.HTTPAddress = "127.0.0.1" },
		"port out of range":                 func(c *Config) { c.SQLAddress = "127.0.0.1:70000" },
		"a cluster without addresses":       func(c *Config) { c.SingleNode = false },
		"nodes can't reach this one": func(c *Config) {
			c.SingleNode, c.Join, c.InsecureRemote, c.RPCAddress = false, []string{"a:1"}, true, ":26357"
		},
		"advertised without a port": func(c *Config) { c.AdvertiseRPC = "db1" },
	} {
		c := valid
		spoil(&c)
		if err := c.validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c := valid
	c.SQLAddress, c.InsecureRemote = "0.0.0.0:26257", true
	if err := c.validate(); err != nil {
		t.Error(err)
	}
	var hinted *HintError
	c = valid
	c.Insecure = false
	if err := c.validate(); !errors.As(err, &hinted) || hinted.Hint == "" {
		t.Errorf("no hint in %v", err)
	}
}
