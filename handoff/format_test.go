package handoff

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var updateState = flag.Bool("update-state", false, "write the golden file of the state format anew")

// records is a state as records. It is the sink of a stream, and keeps copies.
type records struct {
	server  Server
	frames  []Frame
	clients []Client
	blobs   []Blob
	calls   int
	err     error // what it returns to the last of calls
}

func (s *records) said() error {
	if s.calls--; s.calls == 0 {
		return s.err
	}
	return nil
}

func (s *records) Server(r *Server) error { s.server = *r; return s.said() }

func (s *records) Frame(r *Frame) error {
	f := *r
	f.Frame = bytes.Clone(r.Frame)
	s.frames = append(s.frames, f)
	return s.said()
}

func (s *records) Client(r *Client) error {
	c := *r
	c.Leftover, c.Waiting, c.Topics, c.Queue = bytes.Clone(r.Leftover), bytes.Clone(r.Waiting), slices.Clone(r.Topics), slices.Clone(r.Queue)
	c.Grants = bytes.Clone(r.Grants)
	for i := range c.Queue {
		c.Queue[i].Data = bytes.Clone(c.Queue[i].Data)
	}
	s.clients = append(s.clients, c)
	return s.said()
}

func (s *records) Blob(b *Blob) error {
	s.blobs = append(s.blobs, Blob{b.Name, bytes.Clone(b.Value), b.Needed})
	return s.said()
}

func (s *records) encode() []byte {
	b := s.server.Append(nil)
	for i := range s.blobs {
		b = s.blobs[i].Append(b)
	}
	for i := range s.frames {
		b = s.frames[i].Append(b)
	}
	for i := range s.clients {
		b = s.clients[i].Append(b)
	}
	return (&End{uint64(len(s.clients)), uint64(len(s.frames))}).Append(b)
}

// decode reads a state that comes in pieces.
func decode(pieces ...[]byte) (s records, ended bool, err error) {
	var r Reader
	for _, p := range pieces {
		if err := r.Feed(bytes.Clone(p), &s); err != nil {
			return s, r.Ended(), err
		}
	}
	return s, r.Ended(), nil
}

// sample is a state with something in every field.
func sample() records {
	return records{
		server: Server{Frozen: 3_000_000_000, Uptime: 2_000_000_000, Publishes: 7, Panics: 1,
			Counters: []Counter{{"accepted", 3}, {"closed.peer", 1}}},
		frames: []Frame{{0, "", []byte("\x81\x05first")}, {4_000_000_000, "price", []byte("\x82\x06second")}},
		clients: []Client{
			{ID: [16]byte{1}, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}, Port: 4242, Age: 1_500_000_000, Silence: 250_000_000,
				State: StateOpen, Flags: FlagAgain | FlagSpoke, Conn: [16]byte{3, 0, 0, 0, 9, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef, 1, 0, 5, 0},
				Buckets: [3]float32{2, -1.5, 100}, Refilled: 12, MessageAge: 70_000_000,
				Leftover: []byte("abc\x81"), Waiting: []byte(`{"actioncode":"work"}`), Topics: []string{"a", "news/ü"},
				Queue: []Queued{{Age: 5, Flags: QueuedShared, Frame: 0, Left: 3}, {Age: 4, Data: []byte("\x81\x02ok")},
					{Age: 3, Flags: QueuedShared | QueuedDrop, Frame: 1, Left: 8}}},
			{ID: [16]byte{2}, Age: 1, State: StateJoining, Leftover: []byte("GET /ws HTTP/1.1\r\n")},
			{ID: [16]byte{3}, Age: 1, State: StateLingering, Flags: FlagFinish | FlagRefused},
		},
		blobs: []Blob{{Name: "application", Value: []byte("of the application")}, {Name: "empty"}},
	}
}

// same compares records, for which an empty slice is as good as none.
func (s *records) same(t *testing.T, want records) {
	t.Helper()
	if !bytes.Equal(s.encode(), want.encode()) || s.server.Wall != want.server.Wall {
		t.Errorf("read %+v\nwant %+v", *s, want)
	}
}

// golden is the sample as a format has it.
func golden(t *testing.T, format string) []byte {
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

// The layout of the state is what it was when the format got its number. If
// this fails, a process of the older build would misread one of the newer: give
// format a new number, and then write the file anew (-update-state).
func TestStateFormat(t *testing.T) {
	want := sample()
	got := want.encode()
	if *updateState {
		var text []byte
		for line := range slices.Chunk([]byte(hex.EncodeToString(got)), 80) {
			text = append(append(text, line...), '\n')
		}
		if err := os.WriteFile(filepath.Join("testdata", "state-"+format+".hex"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := golden(t, format)
	if !bytes.Equal(got, file) {
		t.Errorf("the state is not written as it was\n%x\n%x", got, file)
	}
	read, ended, err := decode(file)
	if err != nil || !ended {
		t.Fatal(err, ended)
	}
	read.same(t, want)
}

// States of older formats, which had one flag less (1), and times by the wall
// clock, are read as they were meant.
func TestOlderState(t *testing.T) {
	want := sample()
	want.server.Wall, want.server.Uptime = true, 1_000_000_000
	want.blobs = want.blobs[:1]                             // those formats had no other
	want.clients[0].MessageAge = 0                          // nor that
	want.frames[1].Left = 1_000_000_000                     // the deadline was at 4 s, frozen is at 3 s
	want.clients[1].Age, want.clients[2].Age = 3e9-1, 3e9-1 // they came at 1 ns
	for _, format := range []string{"1", "2"} {
		if format == "1" {
			want.clients[2].Flags = FlagFinish
		} else {
			want.clients[2].Flags = FlagFinish | FlagRefused
		}
		read, ended, err := decode(golden(t, format))
		if err != nil || !ended {
			t.Fatalf("format %s: %v", format, err)
		}
		read.same(t, want)
	}
}

func TestLeftUntil(t *testing.T) {
	for _, c := range [][3]int64{{0, 5, 0}, {7, 5, 2}, {5, 5, -1}, {3, 5, -2},
		{math.MaxInt64, -5, math.MaxInt64}, {math.MinInt64, 5, math.MinInt64}} {
		if got := LeftUntil(c[0], c[1]); got != c[2] {
			t.Errorf("deadline %d at %d: %d left, want %d", c[0], c[1], got, c[2])
		}
	}
}

// Any cut of the stream gives the same records.
func TestStateInAnyPieces(t *testing.T) {
	for _, format := range []string{"1", "2", "3"} {
		whole := golden(t, format)
		want, _, err := decode(whole)
		if err != nil {
			t.Fatal(err)
		}
		for size := range len(whole) {
			var pieces [][]byte
			for p := range slices.Chunk(whole, size+1) {
				pieces = append(pieces, p)
			}
			got, ended, err := decode(pieces...)
			if err != nil || !ended {
				t.Fatalf("in pieces of %d: %v", size+1, err)
			}
			got.same(t, want)
		}
	}
}

// A state that ends early has not ended, wherever it is cut.
func TestStateCutShort(t *testing.T) {
	whole := golden(t, format)
	for n := range whole {
		if _, ended, err := decode(whole[:n]); ended || err != nil {
			t.Errorf("of %d bytes, %d: ended is %v, %v", len(whole), n, ended, err)
		}
	}
}

// Records come in their order, and all that the last one counts.
func TestStateOrder(t *testing.T) {
	s := sample()
	server, end := s.server.Append(nil), (&End{}).Append(nil)
	frame, client := s.frames[0].Append(nil), s.clients[1].Append(nil)
	for name, stream := range map[string][][]byte{
		"no server":             {end},
		"a client before it":    {client, server, (&End{Clients: 1}).Append(nil)},
		"two servers":           {server, server, end},
		"more than the end":     {server, end, end},
		"a client too few":      {server, (&End{Clients: 1}).Append(nil)},
		"a client too many":     {server, client, end},
		"a frame too few":       {server, (&End{Frames: 1}).Append(nil)},
		"a frame too many":      {server, frame, end},
		"no record of the kind": {server, {1, 0, 0, 0, 0}, end},
		"an empty record":       {server, {0, 0, 0, 0, kindEnd}},
		"extra in format 3":     {server, {1, 0, 0, 0, kindExtra}, end},
		"a blob in format 2":    {golden(t, "2")[:0x4f+4], (&Blob{Name: "b"}).Append(nil), end},
		"a blob twice":          {server, (&Blob{Name: "b"}).Append(nil), (&Blob{Name: "b"}).Append(nil), end},
		"a blob without a name": {server, (&Blob{}).Append(nil), end},
	} {
		if _, _, err := decode(bytes.Join(stream, nil)); !errors.Is(err, ErrGarbled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the sink does not take ends the reading.
func TestSinkRefuses(t *testing.T) {
	refusal := errors.New("no")
	for call := range 8 { // a server, 2 blobs, 2 frames, 3 clients
		s := records{calls: call + 1, err: refusal}
		if err := new(Reader).Feed(golden(t, format), &s); !errors.Is(err, refusal) {
			t.Errorf("call %d refused: %v", call, err)
		}
	}
}

// again writes a record that was read once more, as it is written today.
func again(kind byte, in body, frames []uint64) (b []byte, c *Client, err error) {
	switch kind {
	case kindServer:
		r, err := readServer(kind, in)
		return r.Append(nil), nil, err
	case kindFrame:
		r, err := readFrame(in, false)
		return r.Append(nil), nil, err
	case kindClient:
		c = new(Client)
		err = c.read(in, frames, false)
		return c.Append(nil), c, err
	case kindBlob:
		r, err := readBlob(in, "")
		return r.Append(nil), nil, err
	case kindEnd:
		r, err := readEnd(in)
		return r.Append(nil), nil, err
	}
	return nil, nil, errors.New("nobody writes it any more")
}

// A record that is taken at all is written again as it was read, but for fields
// that may be left out, and what is taken has nothing in it that a loop would
// stumble over.
func FuzzState(f *testing.F) {
	s := sample()
	whole := s.encode()
	f.Add(whole)
	for b := whole; len(b) > 0; {
		_, _, n, _ := cutRecord(b)
		f.Add(b[:n])
		b = b[n:]
	}
	frames := []uint64{uint64(len(s.frames[0].Frame)), uint64(len(s.frames[1].Frame))}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, in, n, err := cutRecord(b)
		if err != nil || n == 0 {
			return
		}
		written, c, err := again(kind, in, frames)
		if err == nil && !bytes.Equal(written, b[:n]) {
			left, ok := bytes.CutPrefix(b[5:n], written[5:])
			if fields := (&body{b: left}); !ok || fields.fields("record", noField) != nil {
				t.Errorf("read    %x\nwritten %x", b[:n], written)
			}
		}
		if err == nil && c != nil {
			usable(t, c, frames)
		}
	})
}

// FuzzStream holds the reading of a whole stream to the same outcome, however it
// is cut.
func FuzzStream(f *testing.F) {
	for _, format := range []string{"1", "2", "3"} {
		text, err := os.ReadFile(filepath.Join("testdata", "state-"+format+".hex"))
		if err != nil {
			f.Fatal(err)
		}
		state, _ := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
		f.Add(state, uint16(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		n := min(int(cut), len(b))
		whole, ended, err := decode(b)
		pieces, ended2, err2 := decode(b[:n], b[n:])
		if ended != ended2 || (err == nil) != (err2 == nil) || !bytes.Equal(whole.encode(), pieces.encode()) {
			t.Errorf("whole: %v, %v; cut at %d: %v, %v", ended, err, n, ended2, err2)
		}
	})
}

// usable does to a record what a loop would.
func usable(t *testing.T, r *Client, frames []uint64) {
	if r.State < StateJoining || r.State > StateLingering {
		t.Errorf("state %d", r.State)
	}
	for _, q := range r.Queue {
		switch {
		case q.Flags&QueuedShared != 0:
			if q.Left == 0 || q.Left > frames[q.Frame] {
				t.Errorf("%d bytes of a message of %d", q.Left, frames[q.Frame])
			}
		case q.Flags&QueuedDrop != 0:
			t.Error("an answer that may be left out")
		case len(q.Data) == 0:
			t.Error("an empty message")
		}
	}
}

// A state with bits turned over: what of it is taken at all is what was written,
// to the byte, and nothing a loop would stumble over.
func TestStateGarbled(t *testing.T) {
	s := sample()
	whole := s.encode()
	taken, refused := 0, 0
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := bytes.Clone(whole)
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] ^= byte(1 << rnd.IntN(8))
		}
		got, ended, err := decode(b)
		if err == nil && ended {
			// It is shorter if a tag or a kind has become one that may be left out.
			if written := got.encode(); len(written) == len(b) && !bytes.Equal(written, b) {
				t.Fatalf("read    %x\nwritten %x", b, written)
			}
		}
		var frames []uint64
		for i := range got.frames {
			frames = append(frames, uint64(len(got.frames[i].Frame)))
		}
		for i := range got.clients {
			usable(t, &got.clients[i], frames)
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

// What cannot have been written is refused, each for its reason.
func TestClientChecks(t *testing.T) {
	for want, change := range map[string]func(c *Client){
		"a state or a flag of a client":                    func(c *Client) { c.State = StateLingering + 1 },
		"a client that was refused and goes on":            func(c *Client) { c.Flags |= FlagRefused },
		"a time of a client":                               func(c *Client) { c.Silence = -1 },
		"a client that is not open waits or is subscribed": func(c *Client) { c.State = StateClosing },
		"a token bucket":                                   func(c *Client) { c.Buckets[1] = float32(math.NaN()) },
		"a send queue":                                     func(c *Client) { c.Queue[2].Left-- },
	} {
		s := sample()
		change(&s.clients[0])
		if _, _, err := decode(s.encode()); !errors.Is(err, ErrGarbled) || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// withField adds a field to a record.
func withField(record []byte, tag uint64, value string) []byte {
	b := appendBytes(binary.AppendUvarint(bytes.Clone(record), tag), value)
	return finishRecord(b, 0)
}

// What a newer program adds is left out by this one if it says that it may be, by
// an odd number, and refused otherwise. No field costs nothing.
func TestUnknownIsSkippedOrRefused(t *testing.T) {
	want := sample()
	server, frame := want.server.Append(nil), want.frames[0].Append(nil)
	want.frames, want.clients, want.blobs = want.frames[:1], want.clients[:1], nil
	want.clients[0].Queue = want.clients[0].Queue[:2]
	client := want.clients[0].Append(nil)
	end := (&End{1, 1}).Append(nil)
	for _, c := range []struct {
		name   string
		stream [][]byte
		err    error
	}{
		{"nothing unknown", [][]byte{server, frame, client, end}, nil},
		{"a server's field", [][]byte{withField(server, 3, "new"), frame, client, end}, nil},
		{"a server's field that is needed", [][]byte{withField(server, 2, "new"), frame, client, end}, ErrUnknown},
		{"a frame's field", [][]byte{server, withField(frame, 99, ""), client, end}, nil},
		{"a frame's field that is needed", [][]byte{server, withField(frame, 98, ""), client, end}, ErrUnknown},
		{"a client's fields", [][]byte{server, frame, withField(withField(client, 5, "new"), 1<<40+1, strings.Repeat("x", 300)), end}, nil},
		{"a client's field that is needed", [][]byte{server, frame, withField(client, 4, "new"), end}, ErrUnknown},
		{"a field twice", [][]byte{server, frame, withField(withField(client, 5, "new"), 5, "new"), end}, ErrGarbled},
		{"fields out of order", [][]byte{server, frame, withField(withField(client, 7, "new"), 5, "new"), end}, ErrGarbled},
		{"field 0", [][]byte{withField(server, 0, "new"), frame, client, end}, ErrGarbled},
		{"a cut field", [][]byte{server, frame, finishRecord(append(bytes.Clone(client), 3, 5, 'n'), 0), end}, ErrGarbled},
		{"a record", [][]byte{server, {4, 0, 0, 0, 9, 1, 2, 3}, frame, client, end}, nil},
		{"a record that is needed", [][]byte{server, {4, 0, 0, 0, 10, 1, 2, 3}, frame, client, end}, ErrUnknown},
		{"a blob that is needed", [][]byte{server, (&Blob{Name: "new", Needed: true}).Append(nil), frame, client, end}, ErrUnknown},
	} {
		got, ended, err := decode(bytes.Join(c.stream, nil))
		if !errors.Is(err, c.err) || ended != (c.err == nil) {
			t.Errorf("%s: %v, ended is %v; want %v", c.name, err, ended, c.err)
		} else if c.err == nil {
			got.same(t, want)
		}
	}
	for _, value := range []string{"", "\x01", strings.Repeat("\x00", 8), strings.Repeat("\xff", 8), strings.Repeat("\x01", 9)} {
		s := sample()
		b := bytes.Join([][]byte{server, withField(s.clients[1].Append(nil), tagMessageAge, value)}, nil)
		if _, _, err := decode(b); !errors.Is(err, ErrGarbled) {
			t.Errorf("an age of %x: %v", value, err)
		}
	}
	for _, value := range []string{"", "\x00", "\x04", "\x01\x01"} {
		s := sample()
		b := bytes.Join([][]byte{server, withField(s.clients[1].Append(nil), tagProxy, value)}, nil)
		if _, _, err := decode(b); !errors.Is(err, ErrGarbled) {
			t.Errorf("of a proxy %x: %v", value, err)
		}
	}
	for _, flags := range []ProxyFlags{ProxyHeaderDue, ProxyAddress, ProxyHeaderDue | ProxyAddress} {
		s := sample()
		s.clients[0].Proxy, s.clients[1].Proxy = ProxyAddress, flags
		got, ended, err := decode(s.encode())
		if err != nil || !ended || got.clients[1].Proxy != flags {
			t.Errorf("%b: %v, %v", flags, got.clients, err)
		}
		got.same(t, s)
	}
	// The older formats had no fields at all.
	old := golden(t, "2")
	if _, _, err := decode(withField(old[:0x4f+4], 3, "new")); !errors.Is(err, ErrGarbled) {
		t.Errorf("a field in format 2: %v", err)
	}
}

func TestMessages(t *testing.T) {
	h := Hello{1, 3, "v"}
	if got, err := ReadHello(h.Append(nil)); got != h || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	list := []PassedFile{{Name: "127.0.0.1:80", Listener: true}, {Name: "/s", Listener: true, Path: true, Dev: 1, Ino: 2}, {Name: "admin"}}
	body := AppendFiles(nil, list)
	if got, err := ReadFiles(body); !reflect.DeepEqual(got, list) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if n, err := ReadReady(AppendReady(nil, 7)); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for n := range body {
		if _, err := ReadFiles(body[:n]); err == nil {
			t.Errorf("%d of %d bytes of a list are read", n, len(body))
		}
	}
	if _, err := ReadHello([]byte("HTTP/1.1 400")); err == nil {
		t.Error("that was no hello")
	}
	for m := MessageHello; m <= MessageRunning; m++ {
		if m.String() == "" || strings.HasPrefix(m.String(), "message ") {
			t.Errorf("message %d has no name", byte(m))
		}
	}
	if got := Message(99).String(); got != "message 99" {
		t.Error(got)
	}
}

// TestWhoAClientIs: what says who a client is comes back as it was; and what nobody
// can have written is refused.
func TestWhoAClientIs(t *testing.T) {
	client := func(change func(*Client)) []byte {
		s := sample()
		change(&s.clients[0])
		return s.encode()
	}
	whole := Client{Known: true, User: "ada ü", Expires: -5, Grants: []byte{1, 0, 0, 0}, Token: 7, Issued: 1_800_000_000, WarnExpiry: true}
	for _, want := range []Client{{}, {Known: true}, {Known: true, User: strings.Repeat("u", 255), Issued: -1}, {Unproven: true}, whole} {
		got, _, err := decode(client(func(c *Client) {
			c.Known, c.User, c.Expires, c.Grants, c.Token, c.Issued = want.Known, want.User, want.Expires, want.Grants, want.Token, want.Issued
			c.WarnExpiry, c.Unproven = want.WarnExpiry, want.Unproven
		}))
		if err != nil {
			t.Errorf("%+v: %v", want, err)
			continue
		}
		c := got.clients[0]
		if c.Known != want.Known || c.User != want.User || c.Expires != want.Expires || !bytes.Equal(c.Grants, want.Grants) || c.Token != want.Token ||
			c.Issued != want.Issued || c.WarnExpiry != want.WarnExpiry || c.Unproven != want.Unproven {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	for name, change := range map[string]func(*Client){
		"a long name":        func(c *Client) { c.Known, c.User = true, strings.Repeat("u", 256) },
		"known and unproven": func(c *Client) { c.Known, c.Unproven = true, true },
		"warned of nothing":  func(c *Client) { c.WarnExpiry = true },
		"not open":           func(c *Client) { c.Known, c.State, c.Waiting, c.Topics = true, StateClosing, nil, nil },
	} {
		if _, _, err := decode(client(change)); !errors.Is(err, ErrGarbled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := sample()
	s.clients = s.clients[1:]
	plain := s.clients[0].Append(nil)
	for name, field := range map[string]struct {
		tag   uint64
		value string
	}{"an end for nobody": {8, "12345678"}, "half an end": {8, "1234"}, "grants of nobody": {10, "x"}, "a token of nobody": {12, "12345678"},
		"issued for nobody": {14, "12345678"}, "a proof that has bytes": {16, "x"}} {
		stream := append(append(s.server.Append(nil), withField(plain, field.tag, field.value)...), (&End{1, 0}).Append(nil)...)
		if _, _, err := decode(stream); !errors.Is(err, ErrGarbled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	revocations := sample()
	revocations.blobs = append(revocations.blobs, Blob{Name: BlobRevocations, Value: []byte("x"), Needed: true})
	if got, _, err := decode(revocations.encode()); err != nil || !got.blobs[2].Needed {
		t.Errorf("%v, %+v", err, got.blobs)
	}
}
