package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/jackc/pgproto3/v2"

	"github.com/cairndb/cairn/sql/catalog"
	"github.com/cairndb/cairn/sql/pgerror"
)

// authenticate makes sure that the client is who it says: by trust where the
// server is insecure, else by its certificate or its password.
func (c *connection) authenticate(ctx context.Context, r *startupRequest) error {
	role, err := c.server.engine.Role(ctx, r.user)
	if err != nil {
		return err
	}
	if c.server.config.Insecure {
		return checkLogin(role, r.user)
	}
	secure, ok := c.conn.(*tls.Conn)
	if !ok {
		host, _, _ := net.SplitHostPort(c.conn.RemoteAddr().String())
		return pgerror.Newf(pgerror.InvalidAuthorization, "no pg_hba.conf entry for host \"%s\", user \"%s\", database \"%s\", no encryption", host, r.user, r.database).
			WithHint("This cluster takes encrypted connections only: use sslmode=verify-full with sslrootcert=ca.crt.")
	}
	if chains := secure.ConnectionState().VerifiedChains; len(chains) > 0 && len(chains[0]) > 0 {
		if name := chains[0][0].Subject.CommonName; name == r.user {
			return checkLogin(role, r.user)
		} else if role == nil || role.Password == "" {
			return pgerror.Newf(pgerror.InvalidAuthorization, "certificate authentication failed for user \"%s\"", r.user).
				WithDetail("The certificate is that of \"%s\".", name)
		}
	}
	return c.password(role, r.user)
}

// checkLogin refuses roles that are not there or may not log in.
func checkLogin(role *catalog.Role, name string) error {
	if role == nil {
		return pgerror.Newf(pgerror.InvalidAuthorization, "role \"%s\" does not exist", name)
	}
	if !role.Login && !role.Superuser {
		return pgerror.Newf(pgerror.InvalidAuthorization, "role \"%s\" is not permitted to log in", name)
	}
	return nil
}

// password runs SCRAM-SHA-256 (RFC 7677). A role that is not there, or has no
// password, fails as a wrong password does, after the same exchange.
func (c *connection) password(role *catalog.Role, user string) error {
	wrong := pgerror.Newf(pgerror.InvalidPassword, "password authentication failed for user \"%s\"", user)
	stored := ""
	if role != nil {
		stored = role.Password
	}
	exchange, err := newScram(stored, user)
	if err != nil {
		return err
	}
	c.writer.send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{scramMechanism}})
	body, err := c.passwordMessage()
	if err != nil {
		return err
	}
	f := fields{body: body}
	mechanism, length := string(f.text()), f.int32()
	first := f.bytes(int(length))
	if !f.whole() || length < 0 {
		return outOfStep("malformed SASL initial response")
	}
	if mechanism != scramMechanism {
		return outOfStep("client selected an invalid SASL authentication mechanism")
	}
	challenge, err := exchange.first(string(first))
	if err != nil {
		return err
	}
	c.writer.send(&pgproto3.AuthenticationSASLContinue{Data: []byte(challenge)})
	if body, err = c.passwordMessage(); err != nil {
		return err
	}
	proof, err := exchange.final(string(body))
	if errors.Is(err, errWrongPassword) {
		return wrong
	}
	if err != nil {
		return err
	}
	c.writer.send(&pgproto3.AuthenticationSASLFinal{Data: []byte(proof)})
	return checkLogin(role, user)
}

// passwordMessage sends what is due and reads the client's answer.
func (c *connection) passwordMessage() ([]byte, error) {
	if err := c.writer.flush(); err != nil {
		return nil, err
	}
	kind, body, err := c.reader.next()
	if err != nil {
		if large, ok := errors.AsType[*tooLarge](err); ok {
			return nil, large.response()
		}
		return nil, err
	}
	if kind != 'p' {
		return nil, outOfStep("expected password response, got message type %d", kind)
	}
	return body, nil
}
