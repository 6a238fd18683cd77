package rpc

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/cairndb/cairn/kv/kvpb"
)

// TestHangup: a call to a node that takes connections and never answers ends
// when the node is given up; batches are then refused unsent until the node
// has answered again.
func TestHangup(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	dialed := make(chan struct{}, 10)
	d := NewDialer(func(ctx context.Context, address string) (net.Conn, error) {
		defer func() { dialed <- struct{}{} }()
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	})
	defer d.Close()
	send := func() error {
		_, err := d.Sender(address).Send(context.Background(), &kvpb.BatchRequest{})
		return err
	}
	notSent := func(err error) bool {
		e, ok := errors.AsType[*ConnectError](err)
		return ok && e.NotSent()
	}

	lost := make(chan error, 1)
	go func() { lost <- send() }()
	<-dialed
	// The connection may be in use only after it was dialed.
	for {
		d.Hangup(address)
		select {
		case err = <-lost:
		default:
			continue
		}
		break
	}
	if err == nil || notSent(err) {
		t.Errorf("a call that was under way: %v", err)
	}
	if err := send(); !notSent(err) {
		t.Errorf("a batch for a silent node: %v", err)
	}
	d.Answered(address)
	// It is tried again. The first try may still get the connection that was
	// closed, if the pool has not noticed, and fails at once.
	for tried := false; !tried; {
		go func() { lost <- send() }()
		select {
		case <-dialed:
			tried = true
		case <-lost:
		}
	}
	for {
		d.Hangup(address)
		select {
		case <-lost:
			return
		default:
		}
	}
}
