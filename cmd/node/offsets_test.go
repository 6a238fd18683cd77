package node

import (
	"testing"
	"time"
)

func TestTheNodeWithTheWrongClockStops(t *testing.T) {
	o := offsets{bound: 500 * time.Millisecond, byAddress: map[string]time.Duration{}}
	second := int64(time.Second)
	for _, c := range []struct {
		address            string
		asked, read, heard int64
		fails              bool
	}{
		{"a", 10 * second, 10 * second, 10 * second, false},
		{"b", 10 * second, 12 * second, 10 * second, false}, // b's, as far as is known
		{"a", 10 * second, 12 * second, 13 * second, false}, // it took long
		{"c", 10 * second, 10*second + 499e6, 10 * second, false},
		{"c", 10 * second, 0, 10 * second, false}, // it does not say
		{"c", 10 * second, 9 * second, 11 * second, true},
		{"c", 10 * second, 10 * second, 10 * second, false}, // set right
		{"a", 10 * second, 12 * second, 10 * second, true},
	} {
		if err := o.note(c.address, c.asked, c.read, c.heard); (err != nil) != c.fails {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
