package kvpb

import (
	"math"
	"reflect"
	"time"
)

// Append and Unmarshal of each message, fields in the order of their numbers.
// A number is never used again for something else.

// Append appends the wire form of m to b.
func (m *Span) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putBytes(b, 2, m.EndKey)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *Span) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.EndKey = f.bytes
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *KeyValue) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putBytes(b, 2, m.Value)
	b = putTime(b, 3, m.Timestamp)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *KeyValue) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.Value = f.bytes
		case 3:
			m.Timestamp, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *TxnMeta) Append(b []byte) []byte {
	if !m.ID.IsZero() {
		b = putBytes(b, 1, m.ID[:])
	}
	b = putBytes(b, 2, m.Key)
	b = putInt(b, 3, m.Epoch)
	b = putInt(b, 4, m.Sequence)
	b = putInt(b, 5, m.Priority)
	b = putUint(b, 6, uint64(m.Isolation))
	b = putTime(b, 7, m.WriteTimestamp)
	b = putTime(b, 8, m.MinTimestamp)
	b = putInt(b, 9, m.Gateway)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *TxnMeta) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			if copy(m.ID[:], f.bytes) != len(m.ID) {
				err = errWire
			}
		case 2:
			m.Key = f.bytes
		case 3:
			m.Epoch = int32(f.int())
		case 4:
			m.Sequence = int32(f.int())
		case 5:
			m.Priority = int32(f.int())
		case 6:
			m.Isolation = Isolation(f.value)
		case 7:
			m.WriteTimestamp, err = f.time()
		case 8:
			m.MinTimestamp, err = f.time()
		case 9:
			m.Gateway = NodeID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *ObservedTimestamp) Append(b []byte) []byte {
	b = putInt(b, 1, m.Node)
	b = putTime(b, 2, m.Timestamp)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *ObservedTimestamp) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Node = NodeID(f.int())
		case 2:
			m.Timestamp, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *SequencedWrite) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putInt(b, 2, m.Sequence)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *SequencedWrite) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.Sequence = int32(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *SequenceRange) Append(b []byte) []byte {
	b = putInt(b, 1, m.Start)
	b = putInt(b, 2, m.End)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *SequenceRange) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Start = int32(f.int())
		case 2:
			m.End = int32(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *Transaction) Append(b []byte) []byte {
	b = putMessage(b, 1, m.TxnMeta.Append)
	b = putString(b, 2, m.Name)
	b = putUint(b, 3, uint64(m.Status))
	b = putTime(b, 4, m.ReadTimestamp)
	b = putTime(b, 5, m.UncertaintyLimit)
	for i := range m.ObservedTimestamps {
		b = putMessage(b, 6, m.ObservedTimestamps[i].Append)
	}
	b = putTime(b, 7, m.LastHeartbeat)
	for i := range m.LockSpans {
		b = putMessage(b, 8, m.LockSpans[i].Append)
	}
	for i := range m.InFlightWrites {
		b = putMessage(b, 9, m.InFlightWrites[i].Append)
	}
	for i := range m.IgnoredSeqNums {
		b = putMessage(b, 10, m.IgnoredSeqNums[i].Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *Transaction) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.TxnMeta.Unmarshal(f.bytes)
		case 2:
			m.Name = string(f.bytes)
		case 3:
			m.Status = TxnStatus(f.value)
		case 4:
			m.ReadTimestamp, err = f.time()
		case 5:
			m.UncertaintyLimit, err = f.time()
		case 6:
			m.ObservedTimestamps = append(m.ObservedTimestamps, ObservedTimestamp{})
			err = m.ObservedTimestamps[len(m.ObservedTimestamps)-1].Unmarshal(f.bytes)
		case 7:
			m.LastHeartbeat, err = f.time()
		case 8:
			m.LockSpans = append(m.LockSpans, Span{})
			err = m.LockSpans[len(m.LockSpans)-1].Unmarshal(f.bytes)
		case 9:
			m.InFlightWrites = append(m.InFlightWrites, SequencedWrite{})
			err = m.InFlightWrites[len(m.InFlightWrites)-1].Unmarshal(f.bytes)
		case 10:
			m.IgnoredSeqNums = append(m.IgnoredSeqNums, SequenceRange{})
			err = m.IgnoredSeqNums[len(m.IgnoredSeqNums)-1].Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *ReplicaDescriptor) Append(b []byte) []byte {
	b = putInt(b, 1, m.Node)
	b = putInt(b, 2, m.Store)
	b = putInt(b, 3, m.Replica)
	b = putUint(b, 4, uint64(m.Type))
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *ReplicaDescriptor) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Node = NodeID(f.int())
		case 2:
			m.Store = StoreID(f.int())
		case 3:
			m.Replica = ReplicaID(f.int())
		case 4:
			m.Type = ReplicaType(f.value)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RangeDescriptor) Append(b []byte) []byte {
	b = putInt(b, 1, m.Range)
	b = putBytes(b, 2, m.Start)
	b = putBytes(b, 3, m.End)
	for i := range m.Replicas {
		b = putMessage(b, 4, m.Replicas[i].Append)
	}
	b = putInt(b, 5, m.NextReplicaID)
	b = putInt(b, 6, m.Generation)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RangeDescriptor) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Range = RangeID(f.int())
		case 2:
			m.Start = f.bytes
		case 3:
			m.End = f.bytes
		case 4:
			m.Replicas = append(m.Replicas, ReplicaDescriptor{})
			err = m.Replicas[len(m.Replicas)-1].Unmarshal(f.bytes)
		case 5:
			m.NextReplicaID = ReplicaID(f.int())
		case 6:
			m.Generation = f.int()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RangeInfo) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Descriptor.Append)
	b = putMessage(b, 2, m.Leaseholder.Append)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RangeInfo) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Descriptor.Unmarshal(f.bytes)
		case 2:
			err = m.Leaseholder.Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *ReplicaTarget) Append(b []byte) []byte {
	b = putInt(b, 1, m.Node)
	b = putInt(b, 2, m.Store)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *ReplicaTarget) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Node = NodeID(f.int())
		case 2:
			m.Store = StoreID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *EndTxnArgs) Append(b []byte) []byte {
	b = putBool(b, 1, m.Commit)
	for i := range m.LockSpans {
		b = putMessage(b, 2, m.LockSpans[i].Append)
	}
	for i := range m.InFlightWrites {
		b = putMessage(b, 3, m.InFlightWrites[i].Append)
	}
	b = putTime(b, 4, m.Deadline)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *EndTxnArgs) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Commit = f.value != 0
		case 2:
			m.LockSpans = append(m.LockSpans, Span{})
			err = m.LockSpans[len(m.LockSpans)-1].Unmarshal(f.bytes)
		case 3:
			m.InFlightWrites = append(m.InFlightWrites, SequencedWrite{})
			err = m.InFlightWrites[len(m.InFlightWrites)-1].Unmarshal(f.bytes)
		case 4:
			m.Deadline, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *PushArgs) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Pusher.Append)
	b = putMessage(b, 2, m.Pushee.Append)
	b = putTime(b, 3, m.PushTo)
	b = putUint(b, 4, uint64(m.Type))
	b = putBool(b, 5, m.Force)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *PushArgs) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Pusher.Unmarshal(f.bytes)
		case 2:
			err = m.Pushee.Unmarshal(f.bytes)
		case 3:
			m.PushTo, err = f.time()
		case 4:
			m.Type = PushType(f.value)
		case 5:
			m.Force = f.value != 0
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *ResolveArgs) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Txn.Append)
	b = putUint(b, 2, uint64(m.Status))
	for i := range m.IgnoredSeqNums {
		b = putMessage(b, 3, m.IgnoredSeqNums[i].Append)
	}
	b = putBool(b, 4, m.Poison)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *ResolveArgs) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Txn.Unmarshal(f.bytes)
		case 2:
			m.Status = TxnStatus(f.value)
		case 3:
			m.IgnoredSeqNums = append(m.IgnoredSeqNums, SequenceRange{})
			err = m.IgnoredSeqNums[len(m.IgnoredSeqNums)-1].Unmarshal(f.bytes)
		case 4:
			m.Poison = f.value != 0
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *AdminArgs) Append(b []byte) []byte {
	b = putBytes(b, 1, m.SplitKey)
	for i := range m.Targets {
		b = putMessage(b, 2, m.Targets[i].Append)
	}
	b = putInt(b, 3, m.Store)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *AdminArgs) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.SplitKey = f.bytes
		case 2:
			m.Targets = append(m.Targets, ReplicaTarget{})
			err = m.Targets[len(m.Targets)-1].Unmarshal(f.bytes)
		case 3:
			m.Store = StoreID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *Request) Append(b []byte) []byte {
	b = putUint(b, 1, uint64(m.Kind))
	b = putUint(b, 2, uint64(m.Lock))
	b = putBool(b, 3, m.ReturnKeys)
	b = putInt(b, 4, m.Sequence)
	b = putBytes(b, 5, m.Key)
	b = putBytes(b, 6, m.EndKey)
	b = putBytes(b, 7, m.Value)
	b = putBytes(b, 8, m.Expected)
	b = putInt(b, 9, m.Delta)
	b = putTime(b, 10, m.RefreshFrom)
	if m.EndTxn != nil {
		b = putMessage(b, 11, m.EndTxn.Append)
	}
	if m.Push != nil {
		b = putMessage(b, 12, m.Push.Append)
	}
	if m.Resolve != nil {
		b = putMessage(b, 13, m.Resolve.Append)
	}
	if m.Admin != nil {
		b = putMessage(b, 14, m.Admin.Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *Request) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Kind = Kind(f.value)
		case 2:
			m.Lock = LockStrength(f.value)
		case 3:
			m.ReturnKeys = f.value != 0
		case 4:
			m.Sequence = int32(f.int())
		case 5:
			m.Key = f.bytes
		case 6:
			m.EndKey = f.bytes
		case 7:
			m.Value = f.bytes
		case 8:
			m.Expected = f.bytes
		case 9:
			m.Delta = f.int()
		case 10:
			m.RefreshFrom, err = f.time()
		case 11:
			m.EndTxn = new(EndTxnArgs)
			err = m.EndTxn.Unmarshal(f.bytes)
		case 12:
			m.Push = new(PushArgs)
			err = m.Push.Unmarshal(f.bytes)
		case 13:
			m.Resolve = new(ResolveArgs)
			err = m.Resolve.Unmarshal(f.bytes)
		case 14:
			m.Admin = new(AdminArgs)
			err = m.Admin.Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *Header) Append(b []byte) []byte {
	if m.Txn != nil {
		b = putMessage(b, 1, m.Txn.Append)
	}
	b = putTime(b, 2, m.Timestamp)
	b = putInt(b, 3, m.Range)
	b = putInt(b, 4, m.Generation)
	b = putUint(b, 5, uint64(m.Wait))
	b = putInt(b, 6, m.LockTimeout)
	b = putInt(b, 7, m.MaxKeys)
	b = putInt(b, 8, m.TargetBytes)
	b = putBool(b, 9, m.CanForwardReadTimestamp)
	b = putInt(b, 10, m.Gateway)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *Header) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Txn = new(Transaction)
			err = m.Txn.Unmarshal(f.bytes)
		case 2:
			m.Timestamp, err = f.time()
		case 3:
			m.Range = RangeID(f.int())
		case 4:
			m.Generation = f.int()
		case 5:
			m.Wait = WaitPolicy(f.value)
		case 6:
			m.LockTimeout = time.Duration(f.int())
		case 7:
			m.MaxKeys = f.int()
		case 8:
			m.TargetBytes = f.int()
		case 9:
			m.CanForwardReadTimestamp = f.value != 0
		case 10:
			m.Gateway = NodeID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *BatchRequest) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Header.Append)
	for i := range m.Requests {
		b = putMessage(b, 2, m.Requests[i].Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *BatchRequest) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Header.Unmarshal(f.bytes)
		case 2:
			m.Requests = append(m.Requests, Request{})
			err = m.Requests[len(m.Requests)-1].Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RangeStatistics) Append(b []byte) []byte {
	b = putInt(b, 1, m.LiveBytes)
	b = putInt(b, 2, m.LiveCount)
	b = putInt(b, 3, m.KeyBytes)
	b = putInt(b, 4, m.ValueBytes)
	b = putInt(b, 5, m.KeyCount)
	b = putInt(b, 6, m.VersionCount)
	b = putInt(b, 7, m.LockCount)
	b = putUint(b, 8, math.Float64bits(m.Reads))
	b = putUint(b, 9, math.Float64bits(m.Writes))
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RangeStatistics) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.LiveBytes = f.int()
		case 2:
			m.LiveCount = f.int()
		case 3:
			m.KeyBytes = f.int()
		case 4:
			m.ValueBytes = f.int()
		case 5:
			m.KeyCount = f.int()
		case 6:
			m.VersionCount = f.int()
		case 7:
			m.LockCount = f.int()
		case 8:
			m.Reads = math.Float64frombits(f.value)
		case 9:
			m.Writes = math.Float64frombits(f.value)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *Response) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Value)
	b = putTime(b, 2, m.Timestamp)
	for i := range m.Rows {
		b = putMessage(b, 3, m.Rows[i].Append)
	}
	if m.Resume != nil {
		b = putMessage(b, 4, m.Resume.Append)
	}
	b = putBool(b, 5, m.Found)
	b = putInt(b, 6, m.Int)
	b = putInt(b, 7, m.NumKeys)
	if m.Txn != nil {
		b = putMessage(b, 8, m.Txn.Append)
	}
	for i := range m.Waiting {
		b = putMessage(b, 9, m.Waiting[i].Append)
	}
	if m.Stats != nil {
		b = putMessage(b, 10, m.Stats.Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *Response) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Value = f.bytes
		case 2:
			m.Timestamp, err = f.time()
		case 3:
			m.Rows = append(m.Rows, KeyValue{})
			err = m.Rows[len(m.Rows)-1].Unmarshal(f.bytes)
		case 4:
			m.Resume = new(Span)
			err = m.Resume.Unmarshal(f.bytes)
		case 5:
			m.Found = f.value != 0
		case 6:
			m.Int = f.int()
		case 7:
			m.NumKeys = f.int()
		case 8:
			m.Txn = new(Transaction)
			err = m.Txn.Unmarshal(f.bytes)
		case 9:
			m.Waiting = append(m.Waiting, TxnMeta{})
			err = m.Waiting[len(m.Waiting)-1].Unmarshal(f.bytes)
		case 10:
			m.Stats = new(RangeStatistics)
			err = m.Stats.Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *BatchResponse) Append(b []byte) []byte {
	if m.Txn != nil {
		b = putMessage(b, 1, m.Txn.Append)
	}
	b = putTime(b, 2, m.Timestamp)
	b = putTime(b, 3, m.Now)
	for i := range m.Ranges {
		b = putMessage(b, 4, m.Ranges[i].Append)
	}
	for i := range m.Responses {
		b = putMessage(b, 5, m.Responses[i].Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *BatchResponse) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Txn = new(Transaction)
			err = m.Txn.Unmarshal(f.bytes)
		case 2:
			m.Timestamp, err = f.time()
		case 3:
			m.Now, err = f.time()
		case 4:
			m.Ranges = append(m.Ranges, RangeInfo{})
			err = m.Ranges[len(m.Ranges)-1].Unmarshal(f.bytes)
		case 5:
			m.Responses = append(m.Responses, Response{})
			err = m.Responses[len(m.Responses)-1].Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *NotLeaseholderError) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Descriptor.Append)
	b = putMessage(b, 2, m.Leaseholder.Append)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *NotLeaseholderError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Descriptor.Unmarshal(f.bytes)
		case 2:
			err = m.Leaseholder.Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RangeNotFoundError) Append(b []byte) []byte {
	b = putInt(b, 1, m.Range)
	b = putInt(b, 2, m.Store)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RangeNotFoundError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Range = RangeID(f.int())
		case 2:
			m.Store = StoreID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RangeKeyMismatchError) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Requested.Append)
	for i := range m.Ranges {
		b = putMessage(b, 2, m.Ranges[i].Append)
	}
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RangeKeyMismatchError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Requested.Unmarshal(f.bytes)
		case 2:
			m.Ranges = append(m.Ranges, RangeInfo{})
			err = m.Ranges[len(m.Ranges)-1].Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *WriteTooOldError) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putTime(b, 2, m.Timestamp)
	b = putTime(b, 3, m.Actual)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *WriteTooOldError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.Timestamp, err = f.time()
		case 3:
			m.Actual, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *UncertaintyError) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putTime(b, 2, m.Read)
	b = putTime(b, 3, m.Existing)
	b = putTime(b, 4, m.Local)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *UncertaintyError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.Read, err = f.time()
		case 3:
			m.Existing, err = f.time()
		case 4:
			m.Local, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *TransactionRetryError) Append(b []byte) []byte {
	b = putUint(b, 1, uint64(m.Reason))
	b = putBytes(b, 2, m.Key)
	b = putMessage(b, 3, m.Conflict.Append)
	b = putTime(b, 4, m.At)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *TransactionRetryError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Reason = RetryReason(f.value)
		case 2:
			m.Key = f.bytes
		case 3:
			err = m.Conflict.Unmarshal(f.bytes)
		case 4:
			m.At, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *TransactionAbortedError) Append(b []byte) []byte {
	b = putUint(b, 1, uint64(m.Reason))
	b = putMessage(b, 2, m.Blocker.Append)
	b = putBytes(b, 3, m.Key)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *TransactionAbortedError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Reason = AbortReason(f.value)
		case 2:
			err = m.Blocker.Unmarshal(f.bytes)
		case 3:
			m.Key = f.bytes
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *TransactionStatusError) Append(b []byte) []byte {
	b = putUint(b, 1, uint64(m.Status))
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *TransactionStatusError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Status = TxnStatus(f.value)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *TransactionPushError) Append(b []byte) []byte {
	b = putMessage(b, 1, m.Pushee.Append)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *TransactionPushError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			err = m.Pushee.Unmarshal(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *LockNotAvailableError) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putMessage(b, 2, m.Holder.Append)
	b = putInt(b, 3, m.Timeout)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *LockNotAvailableError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			err = m.Holder.Unmarshal(f.bytes)
		case 3:
			m.Timeout = time.Duration(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *ConditionFailedError) Append(b []byte) []byte {
	b = putBytes(b, 1, m.Key)
	b = putBytes(b, 2, m.Actual)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *ConditionFailedError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Key = f.bytes
		case 2:
			m.Actual = f.bytes
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *AmbiguousResultError) Append(b []byte) []byte {
	b = putString(b, 1, m.Cause)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *AmbiguousResultError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Cause = string(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *UnavailableError) Append(b []byte) []byte {
	b = putString(b, 1, m.Cause)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *UnavailableError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Cause = string(f.bytes)
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *StoreFullError) Append(b []byte) []byte {
	b = putInt(b, 1, m.Store)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *StoreFullError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Store = StoreID(f.int())
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *BatchTimestampBeforeGCError) Append(b []byte) []byte {
	b = putTime(b, 1, m.Timestamp)
	b = putTime(b, 2, m.Threshold)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *BatchTimestampBeforeGCError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Timestamp, err = f.time()
		case 2:
			m.Threshold, err = f.time()
		}
		return err
	})
}

// Append appends the wire form of m to b.
func (m *RequestError) Append(b []byte) []byte {
	b = putString(b, 1, m.Message)
	return b
}

// Unmarshal reads the wire form into m, which must be zero.
func (m *RequestError) Unmarshal(b []byte) error {
	return readFields(b, func(f field) (err error) {
		switch f.number {
		case 1:
			m.Message = string(f.bytes)
		}
		return err
	})
}

// detail is an Error's Detail that crosses nodes.
type detail interface {
	error
	Append([]byte) []byte
	Unmarshal([]byte) error
}

// details are the kinds of Detail by their field number in Error, from 10.
var details = []func() detail{
	func() detail { return new(NotLeaseholderError) },
	func() detail { return new(RangeNotFoundError) },
	func() detail { return new(RangeKeyMismatchError) },
	func() detail { return new(WriteTooOldError) },
	func() detail { return new(UncertaintyError) },
	func() detail { return new(TransactionRetryError) },
	func() detail { return new(TransactionAbortedError) },
	func() detail { return new(TransactionStatusError) },
	func() detail { return new(TransactionPushError) },
	func() detail { return new(LockNotAvailableError) },
	func() detail { return new(ConditionFailedError) },
	func() detail { return new(AmbiguousResultError) },
	func() detail { return new(UnavailableError) },
	func() detail { return new(StoreFullError) },
	func() detail { return new(BatchTimestampBeforeGCError) },
	func() detail { return new(RequestError) },
}

const firstDetail = 10

// Append appends the wire form of e to b. A Detail that is not one of this
// package's types travels as its text.
func (e *Error) Append(b []byte) []byte {
	b = putInt(b, 1, e.Index)
	if e.Txn != nil {
		b = putMessage(b, 2, e.Txn.Append)
	}
	b = putTime(b, 3, e.Now)
	if d, ok := e.Detail.(detail); ok {
		for i, kind := range details {
			if reflect.TypeOf(kind()) == reflect.TypeOf(d) {
				return putMessage(b, firstDetail+protoNumber(i), d.Append)
			}
		}
	}
	return putString(b, 4, e.Detail.Error())
}

// Unmarshal reads the wire form into e, which must be zero.
func (e *Error) Unmarshal(b []byte) error {
	err := readFields(b, func(f field) (err error) {
		switch i := int(f.number) - firstDetail; {
		case f.number == 1:
			e.Index = int32(f.int())
		case f.number == 2:
			e.Txn = new(Transaction)
			err = e.Txn.Unmarshal(f.bytes)
		case f.number == 3:
			e.Now, err = f.time()
		case f.number == 4:
			e.Detail = &RequestError{Message: string(f.bytes)}
		case i >= 0 && i < len(details):
			d := details[i]()
			e.Detail = d
			err = d.Unmarshal(f.bytes)
		}
		return err
	})
	if err == nil && e.Detail == nil {
		e.Detail = &RequestError{Message: "an error that this version does not know"}
	}
	return err
}
