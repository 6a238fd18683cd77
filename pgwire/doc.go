// Package pgwire serves PostgreSQL's wire protocol, version 3: connections,
// TLS, authentication, the simple and the extended protocol, COPY, cancel
// requests. What statements mean is the business of package sql.
//
//	net.Conn → reader (frames) → connection (protocol state) → sql.Session
//	net.Conn ← writer (one buffer, one flush a Sync) ← rows, tags, errors ←┘
//
// Each connection has one goroutine, which also waits for the client while it
// is idle. Messages are bounded; a broken one ends the connection, a too
// large one is skipped and answered with an error.
//
// A connection's Drain and Close come from other goroutines: they only set
// deadlines, cancel the session's statement and close the socket.
package pgwire
