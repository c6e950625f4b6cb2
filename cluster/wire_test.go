package cluster

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"wsd/server"
)

// TestWire: what is written is what is read.
func TestWire(t *testing.T) {
	for _, p := range []publish{
		{life: 7, to: server.All(), m: server.Message{Data: []byte("x")}},
		{life: 1 << 63, tell: true, to: server.Topic("a", "ä b"), m: server.Message{Binary: true, Coalesce: "k"}},
		{life: 2, to: server.User("ada", "ä b"), m: server.Message{Data: []byte("x")}},
		{life: 3, to: server.Client(uuid.New(), uuid.New()), m: server.Message{Data: bytes.Repeat([]byte("y"), 1000)}, once: Once{Key: "key", Print: [32]byte{1, 2}}},
	} {
		b := p.append(nil)
		stamp(b, 12, time.Time{})
		got, err := readPublish(b)
		if len(got.m.Data) == 0 {
			got.m.Data = p.m.Data
		}
		if p.number = 12; err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%v: %+v, want %+v", err, got, p)
		}
		for cut := range len(b) - len(p.m.Data) {
			if _, err := readPublish(b[:max(cut, 2)]); err == nil {
				t.Errorf("%d bytes of %d pass for a whole message", cut, len(b))
			}
		}
	}
	for _, a := range []answer{{number: 1, status: statusAtWork}, {number: 1 << 40, status: statusDone,
		result: server.Result{Matched: 1, Sent: 2, Queued: 3, Dropped: 4, Expired: 5, LastClient: 6}, took: 7}} {
		r := reader{b: a.append(nil)}
		if got := readAnswer(&r); r.bad || !reflect.DeepEqual(got, a) {
			t.Errorf("%+v, want %+v", got, a)
		}
	}
}

// TestSeparate: publishes that go together come as they were, and what is no publish ends
// them.
func TestSeparate(t *testing.T) {
	var list []outgoingPublish
	ends := map[int]int{0: 0} // length of the body: how many it has
	for i := range 5 {
		p := publish{life: 7, to: server.Topic("a"), m: server.Message{Data: bytes.Repeat([]byte{'x'}, i*100)}}
		list = append(list, outgoingPublish{body: p.append(nil)})
		ends[len(together(list))-2] = i + 1
	}
	whole := together(list)
	if whole[0] != version || whole[1] != kindTogether {
		t.Errorf("its head is %v", whole[:2])
	}
	for cut := range len(whole) - 1 {
		var got [][]byte
		ok := separate(whole[2:2+cut], func(data []byte) { got = append(got, data) })
		want, end := ends[cut]
		if ok != end || end && len(got) != want {
			t.Fatalf("%d of %d bytes: %v, %d publishes, want %v, %d", cut, len(whole)-2, ok, len(got), end, want)
		}
		for i := range got {
			if !bytes.Equal(got[i], list[i].body) {
				t.Fatalf("publish %d is another one", i)
			}
		}
	}
	for _, at := range []int{3, 4} { // the first one's version and kind
		other := bytes.Clone(whole)
		other[at]++
		if separate(other[2:], func([]byte) {}) {
			t.Errorf("byte %d is another one: taken", at)
		}
	}
}

// TestDeadline: what is left until a deadline arrives, whatever the clocks say.
func TestDeadline(t *testing.T) {
	p := publish{to: server.All()}
	b := p.append(nil)
	stamp(b, 1, time.Now().Add(time.Minute))
	got, err := readPublish(b)
	if left := time.Until(got.m.Deadline); err != nil || left > time.Minute || left < 30*time.Second {
		t.Errorf("%v are left, %v", left, err)
	}
	stamp(b, 1, time.Now().Add(-time.Minute))
	if got, _ := readPublish(b); time.Until(got.m.Deadline) > 0 {
		t.Errorf("a deadline that is over is at %v", got.m.Deadline)
	}
}

// FuzzPublish: no bytes of another node are more than an error.
func FuzzPublish(f *testing.F) {
	p := publish{life: 7, to: server.Topic("a", "b"), m: server.Message{Data: []byte("x"), Coalesce: "k"}, once: Once{Key: "key"}}
	f.Add(p.append(nil))
	f.Add(together([]outgoingPublish{{body: p.append(nil)}, {body: p.append(nil)}})[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < atTexts {
			return
		}
		_, _ = readPublish(b)
		separate(b, func(data []byte) { _, _ = readPublish(data) })
		for r := (reader{b: b}); !r.bad && len(r.b) > 0; {
			readAnswer(&r)
		}
	})
}
