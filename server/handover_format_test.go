package server

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
	"wsd/netpoll"
)

var updateState = flag.Bool("update-state", false, "write the golden file of the state format anew")

// sample is a state with something in every field.
func sample() (server serverRecord, frames []frameRecord, clients []clientRecord) {
	server = serverRecord{frozen: 3_000_000_000, uptime: 2_000_000_000, publishes: 7, panics: 1,
		counters: []namedCounter{{"accepted", 3}, {"closed.peer", 1}}}
	frames = []frameRecord{{0, "", []byte("\x81\x05first")}, {4_000_000_000, "price", []byte("\x82\x06second")}}
	var partial conn.State
	if err := partial.UnmarshalBinary([]byte{3, 0, 0, 0, 9, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef, 1, 0, 5, 0}); err != nil {
		panic(err)
	}
	clients = []clientRecord{
		{id: [16]byte{1}, addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}, port: 4242, since: 1_500_000_000, age: 250_000_000,
			state: stateOpen, flags: wireAgain | wireSpoke, proto: partial, buckets: [3]float32{2, -1.5, 100}, refilled: 12,
			rest: []byte("abc\x81"), waiting: []byte(`{"actioncode":"work"}`), topics: []string{"a", "news/ü"},
			queue: []nodeRecord{{age: 5, flags: wireShared, frame: 0, left: 3}, {age: 4, data: []byte("\x81\x02ok")},
				{age: 3, flags: wireShared | wireDrop, frame: 1, left: 8}}, unfinished: true, began: 125_000_000},
		{id: [16]byte{2}, since: 1, state: stateJoining, rest: []byte("GET /ws HTTP/1.1\r\n")},
		{id: [16]byte{3}, since: 1, state: stateLingering, flags: wireFinish | wireRefused},
	}
	return server, frames, clients
}

func encodeSample() []byte {
	server, frames, clients := sample()
	b := appendServer(nil, &server)
	for i := range frames {
		b = appendFrame(b, &frames[i])
	}
	for i := range clients {
		b = appendClient(b, &clients[i])
	}
	b = appendExtra(b, []byte("of the application"))
	return appendEnd(b, &endRecord{uint64(len(clients)), uint64(len(frames))})
}

// The layout of the state is what it was when the format got its number. If
// this fails, a process of the older build would misread one of the newer: give
// stateFormat a new number, and then write the file anew (-update-state).
func TestStateFormat(t *testing.T) {
	file := filepath.Join("testdata", "state-"+stateFormat+".hex")
	got := encodeSample()
	if *updateState {
		if err := os.WriteFile(file, []byte(lines(hex.EncodeToString(got))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the state is not written as it was, %v\n%x\n%x", err, got, want)
	}
	server, frames, clients := sample()
	records, err := decodeAll(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(records.server, server) || !reflect.DeepEqual(records.frames, frames) {
		t.Errorf("read back: %+v", records)
	}
	if again := records.encode(); !bytes.Equal(again, want) || len(records.clients) != len(clients) {
		t.Errorf("read and written again:\n%x\nwas\n%x", again, want)
	}
}

// States of older formats, which had one flag less (1), and times by the wall
// clock, are read as they were written.
func TestOlderState(t *testing.T) {
	for _, format := range []string{"1", "2"} {
		old := stateOf(t, format)
		records, err := decodeAll(old)
		if err != nil || len(records.clients) != 3 || records.end != (endRecord{3, 2}) {
			t.Fatalf("format %s: %v, %+v", format, err, records)
		}
		if s := records.server; !s.wall || s.frozen != 3_000_000_000 || s.uptime != 1_000_000_000 || s.publishes != 7 {
			t.Errorf("format %s: %+v", format, s)
		}
		if again := records.encode(); !bytes.Equal(again, old) {
			t.Errorf("format %s, read and written again:\n%x\nwas\n%x", format, again, old)
		}
	}
}

// stateOf is the sample as a format had it.
func stateOf(t *testing.T, format string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "state-"+format+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	state, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func lines(s string) string {
	var b strings.Builder
	for len(s) > 80 {
		b.WriteString(s[:80] + "\n")
		s = s[80:]
	}
	return b.String() + s + "\n"
}

// decoded is a state as records, in the order of the stream.
type decoded struct {
	server  serverRecord
	firsts  [][]byte // as they came; nobody writes recordWall any more
	frames  []frameRecord
	clients []clientRecord
	extra   []byte
	end     endRecord
	order   []byte
}

func decodeAll(b []byte) (d decoded, err error) {
	var deliveries []*delivery
	for len(b) > 0 {
		kind, body, n, err := cutRecord(b)
		if err != nil || n == 0 {
			return d, err
		}
		switch kind {
		case recordServer, recordWall:
			d.server, err = readServer(kind, body)
			d.firsts = append(d.firsts, b[:n])
		case recordFrame:
			var f frameRecord
			f, err = readFrame(body)
			d.frames = append(d.frames, f)
			deliveries = append(deliveries, &delivery{frame: f.frame})
		case recordClient:
			var c clientRecord
			err = readClient(body, deliveries, &c)
			d.clients = append(d.clients, c)
		case recordExtra:
			d.extra = body
		case recordEnd:
			d.end, err = readEnd(body)
		}
		if err != nil {
			return d, err
		}
		d.order = append(d.order, kind)
		b = b[n:]
	}
	return d, nil
}

func (d *decoded) encode() (b []byte) {
	first, frame, client := 0, 0, 0
	for _, kind := range d.order {
		switch kind {
		case recordWall:
			b = append(b, d.firsts[first]...)
			first++
		case recordServer:
			r, _ := readServer(kind, d.firsts[first][5:])
			b = appendServer(b, &r)
			first++
		case recordFrame:
			b = appendFrame(b, &d.frames[frame])
			frame++
		case recordClient:
			b = appendClient(b, &d.clients[client])
			client++
		case recordExtra:
			b = appendExtra(b, d.extra)
		case recordEnd:
			b = appendEnd(b, &d.end)
		}
	}
	return b
}

// A single record that is taken at all is written again as it was read, and
// what is taken has nothing in it that a loop would stumble over.
func FuzzState(f *testing.F) {
	whole := encodeSample()
	f.Add(whole)
	for b := whole; len(b) > 0; {
		_, _, n, _ := cutRecord(b)
		f.Add(b[:n])
		b = b[n:]
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, body, n, err := cutRecord(b)
		if err != nil || n == 0 {
			return
		}
		_, frames, _ := sample()
		var deliveries []*delivery
		for i := range frames {
			deliveries = append(deliveries, &delivery{frame: frames[i].frame})
		}
		var again []byte
		switch kind {
		case recordServer:
			r, e := readServer(kind, body)
			again, err = appendServer(nil, &r), e
		case recordFrame:
			r, e := readFrame(body)
			again, err = appendFrame(nil, &r), e
		case recordClient:
			var r clientRecord
			err = readClient(body, deliveries, &r)
			again = appendClient(nil, &r)
			if err == nil {
				usable(t, &r, deliveries)
			}
		case recordWall:
			_, _ = readServer(kind, body)
			again = b[:n]
		case recordExtra:
			again = appendExtra(nil, body)
		case recordEnd:
			r, e := readEnd(body)
			again, err = appendEnd(nil, &r), e
		}
		if err == nil && !bytes.Equal(again, b[:n]) {
			t.Errorf("read   %x\nwritten %x", b[:n], again)
		}
	})
}

// usable does to a record what a loop would.
func usable(t *testing.T, r *clientRecord, frames []*delivery) {
	for _, n := range r.queue {
		if n.flags&wireShared != 0 {
			d := frames[n.frame]
			if part := d.frame[len(d.frame)-int(n.left):]; len(part) == 0 {
				t.Error("an empty part of a message")
			}
		} else if n.flags&wireDrop != 0 {
			t.Error("an answer that may be left out")
		}
	}
	if r.state == stateOpen || r.state == stateClosing {
		p := conn.Protocol{}
		_, _, _ = p.Feed(&r.proto, bytes.Clone(r.rest), nil, deaf{})
	}
}

// deaf is a sink that does nothing.
type deaf struct{}

func (deaf) Message(_ ws.OpCode, _, out []byte) ([]byte, error) { return out, nil }
func (deaf) Control(ws.OpCode, []byte) error                    { return nil }

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

// Any cut of the stream into messages gives the same server, and a stream that
// is cut short, or has a byte changed, never gives one that ends in a panic.
func TestStateInAnyPieces(t *testing.T) {
	whole := encodeSample()
	for size := 1; size <= len(whole); size = size*3/2 + 1 {
		s := newSite(t, Config{Listen: []string{"none"}})
		k := &taker{s: s.Server, watch: newRegistrar(s.loops)}
		for range 3 {
			k.fds = append(k.fds, pollable(t))
		}
		s.cfg.Estate = &Estate{fault: func(string) {}}
		for b := whole; len(b) > 0; b = b[min(size, len(b)):] {
			if err := k.take(b[:min(size, len(b))]); err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
		}
		if err := k.watch.wait(); err != nil {
			t.Fatal(err)
		}
		if !k.ended || s.population.connected.Load() != 3 || s.loops[0].count.n[nAccepted] != 3 {
			t.Errorf("in pieces of %d: %d clients", size, s.population.connected.Load())
		}
		for _, l := range s.loops {
			l.detach()
		}
		s.stop()
		s.checkEmpty()
	}
}

// A state with bits turned over, and cut anywhere: what of it is taken at all is
// what was written, to the byte, and nothing a loop would stumble over.
func TestStateGarbled(t *testing.T) {
	whole := encodeSample()
	taken, refused := 0, 0
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := bytes.Clone(whole)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] ^= byte(1 << rnd.IntN(8))
		}
		b = b[:rnd.IntN(len(b)+1)]
		d, err := decodeAll(b)
		if again := d.encode(); !bytes.HasPrefix(b, again) {
			t.Fatalf("read    %x\nwritten %x", b, again)
		}
		var frames []*delivery
		for i := range d.frames {
			frames = append(frames, &delivery{frame: d.frames[i].frame})
		}
		for i := range d.clients[:bytes.Count(d.order, []byte{recordClient})] {
			usable(t, &d.clients[i], frames)
		}
		if err == nil {
			taken++
		} else {
			refused++
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d were taken and %d refused: one of the two was never tried", taken, refused)
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
