package mvcc

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/txn/hlc"
)

// Intent is a transaction's provisional value of a key, and its exclusive lock
// on it.
type Intent struct {
	// Txn is as of the last write: its Sequence is Value's.
	Txn   kvpb.TxnMeta
	Value []byte // nil: a deletion
	// Local is the leaseholder's clock before the intent was first laid.
	Local hlc.Timestamp
	// earlier are the transaction's earlier values in this epoch, by rising
	// sequence.
	earlier []provisional
}

type provisional struct {
	sequence int32
	value    []byte // nil: a deletion
}

// The fields of an intent's protobuf form.
const (
	intentTxn = iota + 1
	intentValue
	intentLocal
	intentEarlier
)

func (i *Intent) append(b []byte) []byte {
	b = protowire.AppendTag(b, intentTxn, protowire.BytesType)
	b = protowire.AppendBytes(b, i.Txn.Append(nil))
	if i.Value != nil {
		b = protowire.AppendTag(b, intentValue, protowire.BytesType)
		b = protowire.AppendBytes(b, i.Value)
	}
	if !i.Local.IsEmpty() {
		b = protowire.AppendTag(b, intentLocal, protowire.BytesType)
		b = protowire.AppendVarint(b, 12)
		b = protowire.AppendFixed64(b, uint64(i.Local.WallTime))
		b = protowire.AppendFixed32(b, uint32(i.Local.Logical))
	}
	for _, e := range i.earlier {
		var inner []byte
		inner = protowire.AppendVarint(inner, protowire.EncodeZigZag(int64(e.sequence)))
		if e.value != nil {
			inner = append(inner, 1)
			inner = append(inner, e.value...)
		}
		b = protowire.AppendTag(b, intentEarlier, protowire.BytesType)
		b = protowire.AppendBytes(b, inner)
	}
	return b
}

// decode reads what append wrote; the intent shares b's memory.
func (i *Intent) decode(b []byte) error {
	*i = Intent{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return errMalformed
			}
			b = b[n:]
			continue
		}
		content, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return errMalformed
		}
		b = b[n:]
		switch number {
		case intentTxn:
			if err := i.Txn.Unmarshal(content); err != nil {
				return err
			}
		case intentValue:
			i.Value = notNil(content)
		case intentLocal:
			if len(content) != 12 {
				return errMalformed
			}
			wall, _ := protowire.ConsumeFixed64(content)
			logical, _ := protowire.ConsumeFixed32(content[8:])
			i.Local = hlc.Timestamp{WallTime: int64(wall), Logical: int32(logical)}
		case intentEarlier:
			sequence, n := protowire.ConsumeVarint(content)
			if n < 0 {
				return errMalformed
			}
			e := provisional{sequence: int32(protowire.DecodeZigZag(sequence))}
			if content = content[n:]; len(content) > 0 {
				e.value = content[1:]
			}
			i.earlier = append(i.earlier, e)
		}
	}
	return nil
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// at returns the value that the transaction sees at a sequence: its last write
// up to there that no savepoint has rolled back. ok is false where there is
// none.
func (i *Intent) at(sequence int32, ignored []kvpb.SequenceRange) (value []byte, ok bool) {
	if i.Txn.Sequence <= sequence && !isIgnored(i.Txn.Sequence, ignored) {
		return i.Value, true
	}
	for n := len(i.earlier) - 1; n >= 0; n-- {
		if e := &i.earlier[n]; e.sequence <= sequence && !isIgnored(e.sequence, ignored) {
			return e.value, true
		}
	}
	return nil, false
}

// written returns the value written at exactly a sequence.
func (i *Intent) written(sequence int32) (value []byte, ok bool) {
	if i.Txn.Sequence == sequence {
		return i.Value, true
	}
	for n := range i.earlier {
		if i.earlier[n].sequence == sequence {
			return i.earlier[n].value, true
		}
	}
	return nil, false
}

func isIgnored(sequence int32, ignored []kvpb.SequenceRange) bool {
	for _, r := range ignored {
		if r.Start <= sequence && sequence <= r.End {
			return true
		}
	}
	return false
}
