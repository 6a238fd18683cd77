package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cairndb/cairn/kv/rpc"
)

// certificates are what --certs-dir holds: the cluster's authority and the
// node's own certificate, with which nodes prove themselves to each other and
// to clients. Clients prove themselves with a certificate of the same
// authority whose common name is their role.
type certificates struct {
	authority *x509.CertPool
	own       tls.Certificate
}

// loadCertificates reads ca.crt, node.crt and node.key.
func loadCertificates(dir string) (*certificates, error) {
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, hint(err, "--certs-dir needs ca.crt, node.crt and node.key (PEM)")
	}
	c := &certificates{authority: x509.NewCertPool()}
	if !c.authority.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", filepath.Join(dir, "ca.crt"))
	}
	c.own, err = tls.LoadX509KeyPair(filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	if err != nil {
		return nil, hint(err, "--certs-dir needs node.crt and node.key that belong together (PEM)")
	}
	return c, nil
}

// forNodes is the TLS of connections between nodes: both sides must show a
// certificate of the authority.
func (c *certificates) forNodes() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{c.own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    c.authority,
		RootCAs:      c.authority,
	}
}

// forClients is the TLS of Postgres clients; their certificate is checked
// when they show one.
func (c *certificates) forClients() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{c.own},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    c.authority,
	}
}

// dialFunc returns how to connect to other nodes: with TLS where certs is set.
func dialFunc(certs *certificates) rpc.DialFunc {
	plain := &net.Dialer{}
	if certs == nil {
		return func(ctx context.Context, address string) (net.Conn, error) {
			return plain.DialContext(ctx, "tcp", address)
		}
	}
	secure := &tls.Dialer{NetDialer: plain, Config: certs.forNodes()}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return secure.DialContext(ctx, "tcp", address)
	}
}
