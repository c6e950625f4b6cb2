package bench

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
)

// A client's record has no pointers and stays small.
func TestClientRecord(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n != 64 {
		t.Errorf("%d bytes", n)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[client](), reflect.TypeFor[pending](), reflect.TypeFor[timer]()} {
		for i := range typ.NumField() {
			switch f := typ.Field(i); f.Type.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Func, reflect.Interface, reflect.Chan:
				t.Errorf("%s.%s is or has a pointer", typ, f.Name)
			}
		}
	}
}

// Outstanding requests against a plain slice per client.
func TestPendingTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var p pendings
	clients := make([]client, 4)
	twin := make([][]pending, 4)
	for n := range uint32(20000) {
		i := rng.IntN(4)
		c := &clients[i]
		switch k := rng.IntN(10); {
		case k < 5:
			p.push(c, int64(n), int64(n)+1, n)
			twin[i] = append(twin[i], pending{intended: int64(n), sent: int64(n) + 1, number: n})
		case k < 7:
			got, ok := p.pop(c)
			if ok != (len(twin[i]) > 0) || ok && !same(got, twin[i][0]) {
				t.Fatalf("popped %+v, want the first of %+v", got, twin[i])
			}
			if ok {
				twin[i] = twin[i][1:]
			}
		case k < 9 && len(twin[i]) > 0:
			at := rng.IntN(len(twin[i]))
			got, ok := p.take(c, twin[i][at].number)
			if !ok || !same(got, twin[i][at]) {
				t.Fatalf("took %+v, want %+v", got, twin[i][at])
			}
			for j := range at {
				twin[i][j].overtaken = true
			}
			twin[i] = slices.Delete(twin[i], at, at+1)
		case k < 9:
			if _, ok := p.take(c, n); ok {
				t.Fatal("took one that is not there")
			}
		default:
			if rng.IntN(20) == 0 {
				if got := p.drop(c); got != len(twin[i]) {
					t.Fatalf("dropped %d of %d", got, len(twin[i]))
				}
				twin[i] = nil
			}
		}
		want := 0
		for _, l := range twin {
			want += len(l)
		}
		if p.count != want {
			t.Fatalf("%d outstanding, not %d", p.count, want)
		}
	}
}

func same(a, b pending) bool { a.next, b.next = 0, 0; return a == b }

// Timers come in order, whatever the order they were set in.
func TestTimers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var h timers
	var want []int64
	for range 1000 {
		at := rng.Int64N(500)
		h.push(timer{at: at, slot: uint32(at)})
		want = append(want, at)
		if rng.IntN(3) == 0 {
			slices.Sort(want)
			if next, _ := h.next(); next != want[0] || h.pop().at != want[0] {
				t.Fatalf("not the earliest, %d", want[0])
			}
			want = want[1:]
		}
	}
	h.filter(func(x timer) bool { return x.at%2 == 0 })
	want = slices.DeleteFunc(want, func(at int64) bool { return at%2 != 0 })
	slices.Sort(want)
	for _, at := range want {
		if got := h.pop(); got.at != at || got.slot != uint32(at) {
			t.Fatalf("%+v, want %d", got, at)
		}
	}
	if _, ok := h.next(); ok {
		t.Error("some are left")
	}
}

// Buffers keep their bytes apart and are reused.
func TestBuffers(t *testing.T) {
	var b buffers
	var x, y uint32
	b.add(&x, []byte("abc"))
	b.add(&y, []byte("xyz"))
	b.add(&x, []byte("def"))
	b.cut(&x, 2)
	if string(b.get(x)) != "cdef" || string(b.get(y)) != "xyz" {
		t.Errorf("%q %q", b.get(x), b.get(y))
	}
	old := y
	if b.cut(&y, 3); y != 0 {
		t.Error("an empty buffer is kept")
	}
	b.drop(&y)
	if b.add(&y, []byte("1")); y != old {
		t.Error("a freed buffer is not used again")
	}
}

// What a template sends, unmasked, is the payload with the number, which is
// found again in the answer.
func TestTemplate(t *testing.T) {
	for _, ph := range []Phase{
		{Bytes: 10}, {Bytes: 9}, {Bytes: 1000, Text: true}, {Bytes: 70000},
		{Payload: "plain"}, {Payload: `{"x":1,"seq":{seq},"y":2}`}, {Payload: "{seq}"},
		{Payload: `{"actioncode":"heart_beat","seq":{seq}}`, Expect: "success"},
	} {
		s, err := newTemplate(&ph)
		if err != nil {
			t.Fatal(err)
		}
		for slot := range uint32(20) {
			number := slot * 200_000_000
			h, body := unmask(t, s.frame(slot, number))
			if len(body) != len(s.payload) || h.OpCode != s.op || (s.op == ws.OpText) != (ph.Bytes == 0 || ph.Text) {
				t.Fatalf("%+v: %d bytes, %v", ph, len(body), h)
			}
			answer := body
			if ph.Expect != "" {
				answer = []byte(`{"code":0,"msg":"success","data":true,` + string(body[1:]))
			}
			if !s.right(s.op, answer) || s.right(s.op, answer[:len(answer)-1]) && ph.Expect == "" {
				t.Errorf("%q is not right", answer)
			}
			if s.at < 0 {
				continue
			}
			if got, ok := s.numberIn(answer); !ok || got != number {
				t.Errorf("%q: number %d, %v", answer, got, ok)
			}
			if ph.Expect == "" {
				answer = bytes.Clone(answer)
				answer[(s.at+numberSize)%len(answer)] ^= 1
				if len(answer) > numberSize && s.right(s.op, answer) {
					t.Errorf("%q is right", answer)
				}
			}
		}
	}
	for _, ph := range []Phase{{}, {Payload: "\xff"}, {Payload: "{seq}", Expect: "x"}} {
		if _, err := newTemplate(&ph); err == nil {
			t.Errorf("%+v was taken", ph)
		}
	}
}

func unmask(t *testing.T, frame []byte) (ws.Header, []byte) {
	t.Helper()
	r := bytes.NewReader(frame)
	h, err := ws.ReadHeader(r)
	if err != nil || !h.Masked || !h.Fin || h.Length != int64(r.Len()) {
		t.Fatalf("%v, %+v", err, h)
	}
	body := bytes.Clone(frame[len(frame)-r.Len():])
	ws.Cipher(body, h.Mask, 0)
	return h, body
}

func FuzzNumberIn(f *testing.F) {
	f.Add([]byte(`{"code":0,"seq":1000000007}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, ph := range []Phase{{Payload: `{"seq":{seq}}`, Expect: "x"}, {Payload: `{"seq":{seq}}`}} {
			s, _ := newTemplate(&ph)
			if n, ok := s.numberIn(answer); ok {
				_, body := unmask(t, s.frame(0, n))
				if !bytes.Contains(answer, body[s.at:s.at+numberSize]) {
					t.Errorf("%q does not have %d", answer, n)
				}
			}
			s.right(ws.OpText, answer)
		}
	})
}

// Shares add up, and none is more than one from another.
func TestShare(t *testing.T) {
	for total := range 50 {
		for n := 1; n < 12; n++ {
			sum, low, high := 0, total, 0
			for i := range n {
				s := share(total, i, n)
				sum, low, high = sum+s, min(low, s), max(high, s)
			}
			if sum != total || high-low > 1 {
				t.Errorf("%d over %d: sum %d, from %d to %d", total, n, sum, low, high)
			}
		}
	}
}

// A stride visits every client once a round.
func TestCoprime(t *testing.T) {
	for n := 1; n < 300; n++ {
		seen := make(map[int]bool)
		for i, at := 0, 0; i < n; i++ {
			seen[at] = true
			if at += coprime(n); at >= n {
				at -= n
			}
		}
		if len(seen) != n {
			t.Fatalf("%d of %d were visited", len(seen), n)
		}
	}
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		text        string
		n           int
		first, last string
	}{
		{"127.0.0.5", 1, "127.0.0.5", "127.0.0.5"},
		{"127.0.1.0/24", 254, "127.0.1.1", "127.0.1.254"},
		{"127.0.1.77/30", 2, "127.0.1.77", "127.0.1.78"},
		{"10.0.0.8/31", 2, "10.0.0.8", "10.0.0.9"},
		{"10.0.0.8/32,10.0.1.1", 2, "10.0.0.8", "10.0.1.1"},
		{"10.0.0.254-10.0.1.1", 4, "10.0.0.254", "10.0.1.1"},
		{"::1", 1, "::1", "::1"},
		{"10.0.0.0/8", maxSources, "10.0.0.1", "10.1.0.0"},
	} {
		all, err := parseSources([]string{c.text})
		if err != nil || len(all) != c.n || all[0].String() != c.first || all[len(all)-1].String() != c.last {
			t.Errorf("%s: %d, %v", c.text, len(all), err)
		}
	}
	for _, bad := range []string{"", "x", "10.0.0.0/33", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", "10.0.0.1-"} {
		if all, err := parseSources([]string{bad}); err == nil {
			t.Errorf("%q: %v", bad, all)
		}
	}
	for _, n := range []int{1, clientsPerSource, 200000, 1000000} {
		all := loopbackSources(n)
		if len(all)*clientsPerSource < n || !all[0].IsLoopback() || !all[len(all)-1].IsLoopback() {
			t.Errorf("%d clients from %d sources", n, len(all))
		}
	}
}
