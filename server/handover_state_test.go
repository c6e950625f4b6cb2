package server

import (
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"wsd/dispatch"
	"wsd/handoff"
	"wsd/netpoll"
)

// stateOf is the golden file of a state format: three clients, two frames.
func stateOf(t *testing.T, format string) []byte {
	t.Helper()
	text, err := os.ReadFile("../handoff/testdata/state-" + format + ".hex")
	if err != nil {
		t.Fatal(err)
	}
	state, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// pollable opens a descriptor that epoll takes, and that is the callee's.
func pollable(t testing.TB) int {
	t.Helper()
	ours, theirs, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	fd, err := netpoll.Dup(descriptorOf(theirs))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// Any cut of the stream into messages gives the same server, of each format.
func TestStateInAnyPieces(t *testing.T) {
	for _, format := range []string{"1", "2", "3"} {
		whole := stateOf(t, format)
		for size := 1; size <= len(whole); size = size*5/2 + 1 {
			s := newSite(t, Config{Listen: []string{"none"}})
			s.cfg.Inheritance = &Inheritance{fault: func(string) {}}
			k := &taker{s: s.Server, watch: newRegistrar(s.loops)}
			for range 3 {
				k.fds = append(k.fds, pollable(t))
			}
			for b := whole; len(b) > 0; b = b[min(size, len(b)):] {
				if err := k.take(b[:min(size, len(b))]); err != nil {
					t.Fatalf("format %s in pieces of %d: %v", format, size, err)
				}
			}
			if err := k.watch.wait(); err != nil {
				t.Fatal(err)
			}
			if !k.stream.Ended() || s.population.connected.Load() != 3 || s.loops[0].count.n[nAccepted] != 3 || string(s.cfg.Inheritance.Extra()) != "of the application" {
				t.Errorf("format %s in pieces of %d: %d clients", format, size, s.population.connected.Load())
			}
			for _, l := range s.loops {
				l.detach()
			}
			s.stop()
			s.checkEmpty()
		}
	}
}

// What handoff cannot know to be wrong is refused here, and the client's
// descriptor is closed.
func TestRestoreRefuses(t *testing.T) {
	for want, r := range map[string]handoff.Client{
		"client record":           {ID: [16]byte{1}, State: handoff.StateOpen, Conn: [16]byte{14: 0xff}},
		"partial message":         {ID: [16]byte{1}, State: handoff.StateOpen, Conn: [16]byte{0: 5, 12: 1, 14: 3}, Leftover: []byte("four")},
		"has a control character": {ID: [16]byte{1}, State: handoff.StateOpen, Topics: []string{"a\n"}},
	} {
		s := newSite(t, Config{Loops: 1, Listen: []string{"none"}})
		watch := newRegistrar(s.loops)
		err := s.loops[0].restore(&r, instant(), pollable(t), nil, watch)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		_ = watch.wait()
		s.loops[0].detach()
		s.stop()
		s.checkEmpty()
	}
}

// Every number that is counted goes along, whatever is added to counters.
func TestAllCountersAreHandedOver(t *testing.T) {
	mux := dispatch.NewMux()
	dispatch.Builtins(mux)
	actions := mux.Actions()
	a := counters{actions: make([]actionCounters, len(actions))}
	n := uint64(0)
	a.visit(actions, func(string, uint64) uint64 { n++; return n })
	var b counters
	b.actions = make([]actionCounters, len(actions))
	b.read(actions, a.write(actions))
	if !reflect.DeepEqual(a, b) {
		t.Errorf("wrote %+v\nread  %+v", a, b)
	}
	var zero func(name string, v reflect.Value)
	zero = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				zero(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				zero(name, v.Index(i))
			}
		case reflect.Uint64:
			if v.Uint() == 0 && !ofProcess(name) {
				t.Errorf("%s is not handed over: see counters.all", name)
			}
		}
	}
	zero("counters", reflect.ValueOf(a))
}
