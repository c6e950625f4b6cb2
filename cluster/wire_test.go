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
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < atTexts {
			return
		}
		_, _ = readPublish(b)
		for r := (reader{b: b}); !r.bad && len(r.b) > 0; {
			readAnswer(&r)
		}
	})
}
