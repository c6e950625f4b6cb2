package server

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestBuffers: what is lent is never lent twice, has the room asked for and is
// kept within bounds.
func TestBuffers(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var b buffers
	type lent struct {
		buf  []byte
		want []byte
	}
	var out []lent
	for step := range 30_000 {
		switch k := r.IntN(10); {
		case k < 4:
			n := 1 + r.IntN(1<<r.IntN(19))
			buf := b.get(n)
			if len(buf) != 0 || cap(buf) < n || cap(buf) >= 2*n && cap(buf) > 1<<minClass || cap(buf)&(cap(buf)-1) != 0 {
				t.Fatalf("asked for %d, got %d of %d", n, len(buf), cap(buf))
			}
			buf = append(buf, byte(step))
			out = append(out, lent{buf, []byte{byte(step)}})
		case k < 7 && len(out) > 0:
			o := &out[r.IntN(len(out))]
			p := bytes.Repeat([]byte{byte(step)}, r.IntN(300))
			o.buf = b.join(o.buf, p)
			o.want = append(o.want, p...)
		case len(out) > 0:
			i := r.IntN(len(out))
			if !bytes.Equal(out[i].buf, out[i].want) {
				t.Fatal("somebody else wrote into a buffer")
			}
			b.put(out[i].buf)
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		}
		kept := 0
		if step%100 == 0 {
			for _, class := range b.free {
				for _, buf := range class {
					kept += cap(buf)
				}
			}
			if kept != b.kept || kept > keptBuffers {
				t.Fatalf("%d bytes kept, counted %d", kept, b.kept)
			}
		}
	}
	foreign := make([]byte, 0, 200) // not a power of two
	before := b.kept
	b.put(foreign)
	b.put(make([]byte, 0, 1<<(maxClass+1)))
	if b.kept != before {
		t.Error("a buffer of another size was kept")
	}
}

// TestExtras: against a map.
func TestExtras(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var x extras
	clients := make([]client, 200)
	twin := map[int]byte{}
	for step := range 20_000 {
		i := r.IntN(len(clients))
		c := &clients[i]
		switch r.IntN(3) {
		case 0:
			fresh := c.extra == 0
			e := x.make(uint32(i), c)
			if fresh && (e.leftover != nil || e.call != nil) {
				t.Fatal("a new extra has something in it")
			}
			e.leftover = []byte{byte(step)}
			twin[i] = byte(step)
		case 1:
			x.tidy(c) // does nothing while something is in it
		case 2:
			if e := x.of(c); e != nil {
				e.leftover = nil
				x.tidy(c)
				delete(twin, i)
			}
		}
		for k := range clients {
			want, has := twin[k]
			if e := x.of(&clients[k]); (e != nil) != has || has && e.leftover[0] != want {
				t.Fatalf("step %d: client %d has %v, want %v %d", step, k, e, has, want)
			}
		}
	}
	if n := len(x.chunks) * extraChunk; n >= len(clients)+extraChunk {
		t.Errorf("%d extras for %d clients", n, len(clients))
	}
}

// TestExtrasOfACrowd: what very many needed once is given back with the last of
// them, and none is moved meanwhile.
func TestExtrasOfACrowd(t *testing.T) {
	var x extras
	clients := make([]client, 20*extraChunk)
	first := x.make(0, &clients[0])
	first.leftover = []byte("x")
	for i := range clients {
		x.make(uint32(i), &clients[i])
	}
	if x.of(&clients[0]) != first || x.used != len(clients) {
		t.Errorf("%d extras for %d clients, the first is at %p and was at %p", x.used, len(clients), x.of(&clients[0]), first)
	}
	first.leftover = nil
	for i := range clients {
		x.tidy(&clients[i])
	}
	if x.used != 0 || len(x.chunks) != 0 {
		t.Errorf("%d extras in %d chunks are left", x.used, len(x.chunks))
	}
}

// TestExtraKeepsCall: a handler under way is not forgotten with the bytes.
func TestExtraKeepsCall(t *testing.T) {
	var x extras
	var c client
	x.make(0, &c).call = &call{}
	x.tidy(&c)
	if e := x.of(&c); e == nil || e.call == nil {
		t.Error("the handler is forgotten")
	}
}
