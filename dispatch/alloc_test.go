//go:build !race

package dispatch

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestAllocations pins what the hot paths cost. (The race detector allocates on its own account.)
func TestAllocations(t *testing.T) {
	m := NewMux()
	Builtins(m)
	m.Authenticate = func(*Context, []byte) (any, error) { return m, nil }
	Handle(m, "secured", func(*Context, json.RawMessage) (json.RawMessage, error) { return nil, nil }, Inline(), Token())
	var e Envelope
	ctx := &Context{Context: context.Background(), Client: new(client), Envelope: &e}
	out := make([]byte, 0, 4096)

	for _, tt := range []struct {
		name, msg string
		want      float64
	}{
		{"heartbeat", heartBeat, 0},
		{"heartbeat with seq", `{"actioncode":"heart_beat","seq":123}`, 0},
		{"every field", fullForm, 0},
		{"echo", `{"actioncode":"echo","data":{"a":[1,2,3]},"seq":"x"}`, 0},
		{"unknown action", `{"actioncode":"no_such_action","data":[]}`, 0},
		{"token", `{"actioncode":"secured","token":"abc"}`, 0},
	} {
		msg := []byte(tt.msg)
		run := func() { out = respond(m, ctx, msg, out[:0]) }
		if got := testing.AllocsPerRun(100, run); got != tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}

// TestManyTexts: the elements of a list cost no allocation each, however many a message has room for.
func TestManyTexts(t *testing.T) {
	list := `[` + strings.Repeat(`"",`, 20000) + `""]`
	if n := testing.AllocsPerRun(5, func() {
		var e Envelope
		if Parse([]byte(`{"actioncode":"a","client_ids":`+list+`}`), &e) != InvalidParams {
			t.Error("empty ids are taken")
		}
		if got, err := names([]byte(`{"topics":` + list + `}`)); err != nil || len(got) != 20001 {
			t.Errorf("%d names, %v", len(got), err)
		}
	}); n > 100 {
		t.Errorf("%v allocations", n)
	}
}
