package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cairndb/cairn/kv/kvpb"
)

// NewSplit returns the trigger that splits the range at key; the right part
// becomes the range with id right and the given statistics. The caller
// proposes it in a command, holding off writes to the range meanwhile.
func (r *Replica) NewSplit(key []byte, right kvpb.RangeID, rightStats kvpb.RangeStatistics) (*SplitTrigger, error) {
	d := r.Descriptor()
	if !d.Contains(key) || string(key) == string(d.Start) {
		return nil, fmt.Errorf("range %d can't be split at %x: it holds [%x, %x)", r.id, key, d.Start, d.End)
	}
	left := *d
	left.End = key
	left.Generation++
	rightDescriptor := *d
	rightDescriptor.Range, rightDescriptor.Start = right, key
	rightDescriptor.Generation++
	return &SplitTrigger{Left: left, Right: rightDescriptor, RightStats: rightStats}, nil
}

// ErrBusy: the range is being changed already.
var ErrBusy = errors.New("raftstore: the range's replicas are being changed already")

// catchUpTimeout bounds how long a new replica may need before it votes.
const catchUpTimeout = 30 * time.Second

// AddReplica gives the range a voting replica on another store: a snapshot,
// then a learner, then, once it has caught up, a voter. To be called at the
// leaseholder, which must lead.
func (r *Replica) AddReplica(ctx context.Context, target kvpb.ReplicaTarget) error {
	if !r.changing.TryLock() {
		return ErrBusy
	}
	defer r.changing.Unlock()
	d := r.Descriptor()
	member, exists := d.ReplicaOn(target.Store)
	if exists && member.Type == kvpb.Voter {
		return nil
	}
	if !exists {
		member = kvpb.ReplicaDescriptor{Node: target.Node, Store: target.Store, Replica: d.NextReplicaID, Type: kvpb.Learner}
		if err := r.sendSnapshot(ctx, member, nil); err != nil {
			return fmt.Errorf("snapshot of range %d to store %d: %w", r.id, target.Store, err)
		}
		next := *d
		next.Replicas = append(append([]kvpb.ReplicaDescriptor(nil), d.Replicas...), member)
		next.NextReplicaID++
		if err := r.changeTo(ctx, &next, raftpb.ConfChangeAddLearnerNode, member.Replica); err != nil {
			return err
		}
	}
	if err := r.waitCaughtUp(ctx, member.Replica); err != nil {
		return err
	}
	d = r.Descriptor()
	next := *d
	next.Replicas = append([]kvpb.ReplicaDescriptor(nil), d.Replicas...)
	for i := range next.Replicas {
		if next.Replicas[i].Replica == member.Replica {
			next.Replicas[i].Type = kvpb.Voter
		}
	}
	return r.changeTo(ctx, &next, raftpb.ConfChangeAddNode, member.Replica)
}

// RemoveReplica takes the range's replica on another store away.
func (r *Replica) RemoveReplica(ctx context.Context, store kvpb.StoreID) error {
	if !r.changing.TryLock() {
		return ErrBusy
	}
	defer r.changing.Unlock()
	d := r.Descriptor()
	member, ok := d.ReplicaOn(store)
	if !ok {
		return nil
	}
	if member.Replica == r.replicaID {
		return errors.New("the leaseholder can't remove itself: transfer the lease first")
	}
	next := *d
	next.Replicas = nil
	for _, m := range d.Replicas {
		if m.Replica != member.Replica {
			next.Replicas = append(next.Replicas, m)
		}
	}
	return r.changeTo(ctx, &next, raftpb.ConfChangeRemoveNode, member.Replica)
}

// changeTo proposes a change of the configuration by one replica.
func (r *Replica) changeTo(ctx context.Context, next *kvpb.RangeDescriptor, kind raftpb.ConfChangeType, id kvpb.ReplicaID) error {
	next.Generation++
	c := &Command{LeaseSequence: r.view.Load().lease.Sequence, change: next}
	p, err := r.propose(c, &raftpb.ConfChangeV2{Changes: []*raftpb.ConfChangeSingle{{Type: kind.Enum(), NodeId: proto.Uint64(uint64(id))}}})
	if err != nil {
		return err
	}
	return p.Wait(ctx)
}

// waitCaughtUp waits until a replica has all that was committed when it asks.
func (r *Replica) waitCaughtUp(ctx context.Context, id kvpb.ReplicaID) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	target := r.AppliedIndex()
	ticker := time.NewTicker(TickInterval / 4)
	defer ticker.Stop()
	for {
		r.mu.Lock()
		progress, ok := r.node.Status().Progress[uint64(id)]
		r.mu.Unlock()
		if ok && progress.Match >= target {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replica %d of range %d did not catch up: %w", id, r.id, ctx.Err())
		case <-ticker.C:
		}
	}
}

// raftLogger keeps raft's chatter at the debug level; what it calls fatal is a
// broken invariant.
type raftLogger struct{ logger *slog.Logger }

func (l raftLogger) Debug(v ...any)                   { l.logger.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Debugf(format string, v ...any)   { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l raftLogger) Info(v ...any)                    { l.logger.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)    { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l raftLogger) Warning(v ...any)                 { l.logger.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l raftLogger) Error(v ...any)                   { l.logger.Error(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(format string, v ...any)   { l.logger.Error(fmt.Sprintf(format, v...)) }
func (l raftLogger) Fatal(v ...any)                   { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any)   { panic(fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                   { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any)   { panic(fmt.Sprintf(format, v...)) }
