package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"wsd/conn"
)

const mib = 1 << 20

// long is a text of n bytes, some of them of runes that a cut may go through.
func long(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n-20; i++ {
		fmt.Fprintf(&b, "%d ü€😀 ", i)
	}
	return b.String() + strings.Repeat(".", n-b.Len())
}

// inFrames is a message in so many frames, with a ping in the midst.
func inFrames(op ws.OpCode, payload string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(part(op, i == n-1, payload[i*len(payload)/n:(i+1)*len(payload)/n]))
		if op = ws.OpContinuation; i == (n-1)/2 && n > 1 {
			b.WriteString(frame(ws.OpPing, "midst"))
		}
	}
	return b.String()
}

// echoed expects a message, and pongs before it.
func (p *peer) echoed(op ws.OpCode, want string) {
	p.t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			p.t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpPong {
			continue
		}
		if f.Header.OpCode != op || !f.Header.Fin || string(f.Payload) != want {
			p.t.Fatalf("got %+v, %d bytes %.40q where %d bytes %.40q were expected", f.Header, len(f.Payload), f.Payload, len(want), want)
		}
		return
	}
}

// holds compares what is counted with what the loops' clients have, and returns
// it. Nothing may be under way beside.
func (s *site) holds() (sum int64) {
	s.t.Helper()
	s.each(func(l *loop) {
		for _, slot := range l.openSlots() {
			c := l.clients.at(slot)
			sum += int64(l.holds(c))
			beyond := uint32(0)
			for n := c.head; n != 0; n = l.queue.at(n).next {
				beyond += l.queue.at(n).beyond()
			}
			if e := l.extras.of(c); e != nil && e.beyond != beyond || e == nil && beyond != 0 {
				s.t.Errorf("%d bytes beyond what is to be sent are not what the client has noted", beyond)
			}
		}
		if counted := s.memory.held.Load(); len(s.loops) == 1 && counted != sum {
			s.t.Errorf("%d bytes are counted, %d are held", counted, sum)
		}
	})
	return sum
}

// received is how many bytes of frames the server has read. The handshake counts.
func (s *site) received() (n uint64) {
	s.each(func(l *loop) { n += l.count.n[nBytesIn] })
	return n
}

// queued is how many messages wait to be sent.
func (s *site) queued() (n int) {
	s.each(func(l *loop) { n += l.queue.used })
	return n
}

var largeMessages = map[string]struct {
	op     ws.OpCode
	frames int
}{
	"text": {ws.OpText, 1}, "binary": {ws.OpBinary, 1}, "frames": {ws.OpText, 16}, "many frames": {ws.OpBinary, 1000},
}

// TestLargeEcho: a message of 16 MiB comes back as it was, however it is cut,
// with small ones before and behind it, to one that reads and to one that does
// not for a while; nothing is held in the end.
func TestLargeEcho(t *testing.T) {
	payload := long(16 * mib)
	for name, m := range largeMessages {
		for _, lazy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, lazy: %v", name, lazy), func(t *testing.T) {
				s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: 16 * mib, ControlRate: -1})
				p := s.dialPath("/echo")
				stream := text("before") + inFrames(m.op, payload, m.frames) + text("behind") + text("and") + frame(ws.OpPing, "end")
				for rest := stream; len(rest) > 0; {
					n := min(1+rand.IntN(300_000), len(rest))
					p.write(rest[:n])
					rest = rest[n:]
				}
				if lazy {
					s.until("the answer waits", func(Stats) bool { return s.queued() == 1 })
					most := int64(16*mib + 2*arrayUnit)
					if m.frames > 1 { // how long it will be is not known
						most *= 2
					}
					if held := s.holds(); held > most {
						t.Errorf("%d bytes are held for an answer of 16 MiB", held)
					}
				}
				p.expect("before")
				p.echoed(m.op, payload)
				p.expect("behind")
				p.expect("and")
				p.write(text("more"))
				p.echoed(ws.OpText, "more")
				s.until("nothing is held", func(st Stats) bool { return st.PendingBytes == 0 })
			})
		}
	}
}

// TestLargeMemory: what an unfinished message holds is at most twice what was
// received of it, whatever its header claims.
func TestLargeMemory(t *testing.T) {
	payload := long(16 * mib)
	for name, m := range largeMessages {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: 16 * mib, ControlRate: -1})
			p := s.dialPath("/echo")
			began := s.received()
			stream, sent := inFrames(m.op, payload, m.frames), 0
			for sent < len(stream)-1 {
				n := min(1+rand.IntN(max(sent/2, 1000)), len(stream)-1-sent)
				p.write(stream[sent : sent+n])
				sent += n
				s.until("it is read", func(Stats) bool { return s.received()-began == uint64(sent) })
				if held := s.holds(); held > int64(2*sent)+1<<minClass {
					t.Fatalf("%d bytes are held for %d that came", held, sent)
				}
			}
			p.write(stream[sent:])
			p.echoed(m.op, payload)
			s.until("nothing is held", func(st Stats) bool { return st.PendingBytes == 0 })
		})
	}
}

// TestLargeRoom: a read is never of more than readSize, nor beyond the frame, and
// its buffer is never more than twice what came before it.
func TestLargeRoom(t *testing.T) {
	s := newSite(t, Config{Listen: []string{"none"}, MaxMessage: 16 * mib})
	defer s.stop()
	l, slot, c := s.openRecord()
	stream := text(long(16 * mib))
	own := 0
	for at := 0; at < len(stream)-1; {
		into := l.scratch
		if c.extra != 0 {
			into = l.roomFor(c)
		}
		if &into[0] != &l.scratch[0] {
			own++
			if e := l.extras.of(c); cap(e.leftover) > 2*at {
				t.Fatalf("a buffer of %d bytes for %d that came", cap(e.leftover), at)
			}
		}
		if len(into) > readSize || own > 0 && len(into) > len(stream)-at {
			t.Fatalf("a read of %d bytes, with %d to come", len(into), len(stream)-at)
		}
		n := copy(into, stream[at:len(stream)-1])
		l.receive(slot, c, into[:n])
		at += n
	}
	if own < 200 {
		t.Errorf("%d reads of 256 went to their place", own)
	}
	l.kill(slot, c, ReasonReset)
	l.dead = nil // there is nothing to close
}

// TestLargeLeftover: what comes behind a long message does not keep its buffer.
func TestLargeLeftover(t *testing.T) {
	s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: mib})
	p := s.dialPath("/echo")
	payload, small := long(mib), text("the next one")
	stream := inFrames(ws.OpText, payload, 1000) + small[:5]
	p.write(stream)
	p.echoed(ws.OpText, payload)
	s.until("what is left is held alone", func(st Stats) bool { return st.PendingBytes > 0 && st.PendingBytes <= readSize })
	s.holds()
	p.write(small[5:])
	p.expect("the next one")
}

// TestLargeArray: an answer that waits counts whole as long as its memory is kept,
// which is until its last byte is sent.
func TestLargeArray(t *testing.T) {
	const size = 8 * mib
	s := start(t, tight(Config{Loops: 1, EchoPath: "/echo", MaxMessage: size, PendingLimit: 4 * size}))
	p := s.stuck("/echo")
	payload := long(size)
	p.write(text(payload))
	s.until("it waits", func(Stats) bool { return s.queued() == 1 })
	got := make([]byte, len(served(payload)))
	for n := 0; n < len(got)-mib; {
		k, err := p.br.Read(got[n:min(n+mib, len(got)-mib)])
		if err != nil {
			t.Fatal(err)
		}
		n += k
		if held := s.holds(); held < size || held > size+2*arrayUnit {
			t.Fatalf("%d bytes are held, %d are to come", held, len(got)-n)
		}
	}
	if _, err := io.ReadFull(p.br, got[len(got)-mib:]); err != nil || string(got) != served(payload) {
		t.Errorf("the answer is not the message, %v", err)
	}
	s.until("nothing is held", func(st Stats) bool { return st.PendingBytes == 0 })
}

// TestLargeBehind: an echo behind what waits already is one with its header, as is
// one that the socket takes nothing of.
func TestLargeBehind(t *testing.T) {
	s := start(t, tight(Config{Loops: 1, EchoPath: "/echo", MaxMessage: mib, PendingLimit: 4 * mib}))
	p := s.stuck("/echo")
	next, total := s.jam(0, func(r Result) bool { return r.Queued == 1 })
	payload, waiting := long(mib), s.queued()
	p.write(text(payload))
	s.until("it waits", func(Stats) bool { return s.queued() > waiting })
	s.each(func(l *loop) {
		c := l.clients.at(l.openSlots()[0])
		if last := l.queue.at(c.tail); len(last.data) != len(served(payload)) || last.array == 0 {
			t.Errorf("the last node has %d bytes", len(last.data))
		}
	})
	s.holds()
	if got, _ := p.drained(next - 1); len(got) != total.Sent+total.Queued {
		t.Errorf("%d messages", len(got))
	}
	p.echoed(ws.OpText, payload)
}

// TestLargeNotShared: a buffer that the queue keeps is nobody else's meanwhile, be
// it of a size that is lent again.
func TestLargeNotShared(t *testing.T) {
	s := start(t, tight(Config{Loops: 1, EchoPath: "/echo", MaxMessage: mib, PendingLimit: 4 * mib}))
	p, q := s.stuck("/echo"), s.dialPath("/echo")
	payload, other := long(readSize+30_000), strings.Repeat("other", 20_000)
	p.write(text(payload))
	s.until("it waits", func(Stats) bool { return s.queued() == 1 })
	s.holds()
	for range 10 {
		q.write(text(other))
		q.expect(other)
	}
	p.echoed(ws.OpText, payload)
}

// TestLargeAnswer: nor is an action's large answer copied for the queue.
func TestLargeAnswer(t *testing.T) {
	s := start(t, tight(Config{Loops: 1, MaxMessage: 4 * mib, PendingLimit: 8 * mib}))
	p := s.stuck("/ws")
	data := strings.Repeat("x", 3*mib)
	p.send(`{"actioncode":"echo","data":"` + data + `"}`)
	s.until("it waits", func(Stats) bool { return s.queued() == 1 })
	if held := s.holds(); held > 6*mib {
		t.Errorf("%d bytes are held", held)
	}
	s.each(func(l *loop) {
		if nd := l.queue.at(l.clients.at(l.openSlots()[0]).head); nd.array == 0 || cap(l.out) > 4*flushSize {
			t.Errorf("array %d, and the loop keeps %d bytes", nd.array, cap(l.out))
		}
	})
	p.expect(good(`"`+data+`"`, "echo"))
}

// TestLargeGoesAlong: a handover in the midst of a message, of its answer, and of
// both, changes nothing.
func TestLargeGoesAlong(t *testing.T) {
	cfg := Config{Loops: 1, EchoPath: "/echo", MaxMessage: 4 * mib, NotsentLowat: 4096}
	payload := long(4 * mib)
	for name, m := range largeMessages {
		t.Run(name, func(t *testing.T) {
			s := start(t, cfg)
			p := s.dialPath("/echo")
			began := s.received()
			stream := inFrames(m.op, payload, m.frames)
			for i := range 3 {
				from, to := i*len(stream)/4, (i+1)*len(stream)/4
				p.write(stream[from:to])
				s.until("it is read", func(Stats) bool { return s.received()-began == uint64(to) })
				s, _ = s.pass(cfg)
				if held := s.holds(); held > int64(2*to)+1<<minClass {
					t.Fatalf("%d bytes are held for %d that came", held, to)
				}
			}
			p.write(stream[3*len(stream)/4:])
			s.until("the answer waits", func(Stats) bool { return s.queued() == 1 })
			s, _ = s.pass(cfg)
			s.holds()
			s.each(func(l *loop) {
				if nd := l.queue.at(l.clients.at(l.openSlots()[0]).head); nd.array != arrayOf(len(nd.data)) {
					t.Errorf("%d bytes count as an array of %d units", len(nd.data), nd.array)
				}
			})
			p.echoed(m.op, payload)
			p.write(text("more"))
			p.echoed(ws.OpText, "more")
		})
	}
}

// TestLargeEnds: who is closed while such an answer waits gets it whole, and then
// the close; who resets takes its memory along.
func TestLargeEnds(t *testing.T) {
	s := start(t, Config{Loops: 1, EchoPath: "/echo", MaxMessage: 8 * mib})
	p, q := s.dialPath("/echo"), s.dialPath("/echo")
	payload := long(8 * mib)
	for _, one := range []*peer{p, q} {
		one.write(text(payload) + string(conn.AppendMasked(nil, ws.OpText, false, []byte(payload[:100_000]), mask)))
	}
	s.until("the answers wait", func(st Stats) bool { return s.queued() == 2 })
	q.reset()
	s.closed(ReasonReset, 1)
	if n, err := s.CloseTopic(t.Context(), "none", 4000, ""); n != 0 || err != nil {
		t.Error(n, err)
	}
	s.each(func(l *loop) {
		slot := l.openSlots()[0]
		l.close(slot, l.clients.at(slot), ReasonAdmin, 4000, "over")
	})
	p.echoed(ws.OpText, payload)
	if code, reason := p.ended(); code != 4000 || reason != "over" {
		t.Errorf("closed with %d %q", code, reason)
	}
}
