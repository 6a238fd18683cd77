package raftstore

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Command is what goes through a range's log: effects that were already
// evaluated, to be applied alike by each replica. A Command is immutable once
// it is proposed.
type Command struct {
	// Batch is the Pebble batch to apply to State, in its own representation;
	// nil for none.
	Batch []byte
	// Stats is what the batch adds to the range's statistics.
	Stats kvpb.RangeStatistics
	// Closed promises that the range takes no more writes at or below it.
	Closed hlc.Timestamp

	// Split cuts the range in two; the batch lies in the left one's hands.
	Split *SplitTrigger

	// LeaseSequence is of the lease under which the command was evaluated. It is
	// applied only while that lease is the current one. Propose fills it in.
	LeaseSequence int64

	id       uint64 // with proposer, names the command to the proposer
	proposer kvpb.ReplicaID
	lease    *Lease                // a request for the lease: applied if LeaseSequence is current
	change   *kvpb.RangeDescriptor // of a configuration change
}

// SplitTrigger says how a range is split. Both descriptors are complete.
type SplitTrigger struct {
	Left, Right kvpb.RangeDescriptor
	// RightStats are the statistics of the part that goes to Right.
	RightStats kvpb.RangeStatistics
}

var errMalformed = errors.New("raftstore: malformed record")

const commandVersion = 1

func (c *Command) append(b []byte) []byte {
	b = append(b, commandVersion)
	b = protowire.AppendFixed64(b, c.id)
	b = protowire.AppendVarint(b, uint64(c.proposer))
	b = protowire.AppendVarint(b, uint64(c.LeaseSequence))
	b = protowire.AppendBytes(b, c.Batch)
	b = protowire.AppendBytes(b, c.Stats.Append(nil))
	b = protowire.AppendFixed64(b, uint64(c.Closed.WallTime))
	b = protowire.AppendVarint(b, uint64(uint32(c.Closed.Logical)))
	var flags byte
	if c.lease != nil {
		flags |= 1
	}
	if c.Split != nil {
		flags |= 2
	}
	if c.change != nil {
		flags |= 4
	}
	b = append(b, flags)
	if c.lease != nil {
		b = protowire.AppendBytes(b, c.lease.append(nil))
	}
	if c.Split != nil {
		b = protowire.AppendBytes(b, c.Split.Left.Append(nil))
		b = protowire.AppendBytes(b, c.Split.Right.Append(nil))
		b = protowire.AppendBytes(b, c.Split.RightStats.Append(nil))
	}
	if c.change != nil {
		b = protowire.AppendBytes(b, c.change.Append(nil))
	}
	return b
}

// cursor reads what append functions wrote; err sticks.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail() { c.b, c.err = nil, errMalformed }

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail()
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) uint() uint64 {
	v, n := protowire.ConsumeVarint(c.b)
	if n < 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) fixed() uint64 {
	v, n := protowire.ConsumeFixed64(c.b)
	if n < 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes() []byte {
	v, n := protowire.ConsumeBytes(c.b)
	if n < 0 {
		c.fail()
		return nil
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) message(m interface{ Unmarshal([]byte) error }) {
	if b := c.bytes(); c.err == nil {
		if err := m.Unmarshal(b); err != nil {
			c.fail()
		}
	}
}

func (c *cursor) time() hlc.Timestamp {
	wall := c.fixed()
	return hlc.Timestamp{WallTime: int64(wall), Logical: int32(uint32(c.uint()))}
}

func appendTime(b []byte, t hlc.Timestamp) []byte {
	b = protowire.AppendFixed64(b, uint64(t.WallTime))
	return protowire.AppendVarint(b, uint64(uint32(t.Logical)))
}

func decodeCommand(b []byte) (*Command, error) {
	r := cursor{b: b}
	if r.byte() != commandVersion {
		return nil, errMalformed
	}
	c := &Command{id: r.fixed(), proposer: kvpb.ReplicaID(r.uint()), LeaseSequence: int64(r.uint())}
	c.Batch = r.bytes()
	r.message(&c.Stats)
	c.Closed = r.time()
	flags := r.byte()
	if flags&1 != 0 {
		c.lease = new(Lease)
		c.lease.decode(r.bytes(), &r)
	}
	if flags&2 != 0 {
		c.Split = new(SplitTrigger)
		r.message(&c.Split.Left)
		r.message(&c.Split.Right)
		r.message(&c.Split.RightStats)
	}
	if flags&4 != 0 {
		c.change = new(kvpb.RangeDescriptor)
		r.message(c.change)
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	return c, r.err
}

// appliedState is written with each batch of applied commands.
type appliedState struct {
	index, term uint64
	lease       Lease
	stats       kvpb.RangeStatistics
	closed      hlc.Timestamp
}

func (s *appliedState) append(b []byte) []byte {
	b = append(b, 1)
	b = protowire.AppendVarint(b, s.index)
	b = protowire.AppendVarint(b, s.term)
	b = protowire.AppendBytes(b, s.lease.append(nil))
	b = protowire.AppendBytes(b, s.stats.Append(nil))
	return appendTime(b, s.closed)
}

func (s *appliedState) decode(b []byte) error {
	r := cursor{b: b}
	if r.byte() != 1 {
		return errMalformed
	}
	s.index, s.term = r.uint(), r.uint()
	s.lease.decode(r.bytes(), &r)
	r.message(&s.stats)
	s.closed = r.time()
	return r.err
}
