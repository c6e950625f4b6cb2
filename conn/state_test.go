package conn

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
)

// A million of these lie in slabs that the collector does not look into.
func TestStateIsSmallAndFlat(t *testing.T) {
	if size := unsafe.Sizeof(State{}); size != 16 {
		t.Errorf("a State has %d bytes", size)
	}
	typ := reflect.TypeFor[State]()
	for i := range typ.NumField() {
		switch typ.Field(i).Type.Kind() {
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Array:
		default:
			t.Errorf("field %s may hold a pointer", typ.Field(i).Name)
		}
	}
}

// A connection can move to another process after any byte: its state is
// written and read again at each of them.
func TestStateMovesAnywhere(t *testing.T) {
	for _, c := range streams {
		want := runTwin(Protocol{}, c.stream)
		r := newReceiver(t, Protocol{})
		for _, b := range c.stream {
			r.read([]byte{b})
			written, err := r.state.MarshalBinary()
			if err != nil || len(written) != 16 {
				t.Fatal(written, err)
			}
			before := r.state
			r.state = State{left: 77}
			if err := r.state.UnmarshalBinary(written); err != nil || r.state != before {
				t.Fatalf("%s: %+v became %+v, error %v", c.name, before, r.state, err)
			}
		}
		if got := r.outcome(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, want)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	good, _ := (&State{have: 5, left: 6, tail: 2, flags: flagText}).MarshalBinary()
	var s State
	if err := s.UnmarshalBinary(good); err != nil || s.Have() != 5 {
		t.Errorf("%d bytes of the leftover, %v; want 5", s.Have(), err)
	}
	change := func(i int, b byte) []byte {
		bad := append([]byte{}, good...)
		bad[i] = b
		return bad
	}
	for name, b := range map[string][]byte{
		"short": good[:15], "long": append(change(0, 5), 0), "empty": nil,
		"unknown flag": change(14, 0x80), "long rune": change(15, 4), "rune of no text": change(14, 0),
		"message of no frame": change(4, 0), "message after the end": change(14, byte(flagText|flagReadDone)),
		"rune before the message": change(0, 1), "too much": change(7, 0x7f),
	} {
		s := State{have: 9}
		if s.UnmarshalBinary(b) == nil || s != (State{have: 9}) {
			t.Errorf("%s: accepted as %+v", name, s)
		}
	}
}

func TestInMessage(t *testing.T) {
	var p Protocol
	var s State
	var left []byte
	read := func(b []byte) bool {
		rest, _, err := p.Feed(&s, append(left, b...), nil, &recorder{t: t})
		if err != nil {
			t.Fatal(err)
		}
		left = append([]byte{}, rest...)
		return s.InMessage()
	}
	whole := text("ab")
	for i, step := range []struct {
		bytes []byte
		want  bool
	}{
		{whole[:3], false}, {whole[3:6], true}, {whole[6:7], true}, {whole[7:], false},
		{frame(ws.OpText, false, ""), true}, {ping("x"), true}, {frame(ws.OpContinuation, true, ""), false},
	} {
		if got := read(step.bytes); got != step.want {
			t.Errorf("step %d: in a message %v, want %v", i, got, step.want)
		}
	}
}
