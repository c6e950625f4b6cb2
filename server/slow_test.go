package server

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"net"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// stuck makes a client whose kernel takes little, and that reads nothing by itself.
func (s *site) stuck(path string) *peer {
	s.t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		return errors.Join(err, e)
	}}
	c, err := d.Dial("tcp", s.Addrs()[0])
	if err != nil {
		s.t.Fatal(err)
	}
	p := peerOf(s.t, c)
	p.shake(path)
	return p
}

// tight lets little wait in the kernel.
func tight(cfg Config) Config {
	cfg.NotsentLowat = 4096
	if cfg.PendingLimit == 0 {
		cfg.PendingLimit = 32 << 10
	}
	return cfg
}

// numbered is a message of 1000 bytes that tells which one it is.
func numbered(i int) string { return fmt.Sprintf("%06d%s", i, strings.Repeat(".", 994)) }

// jam publishes numbered messages, from the first on, until ok says that it is
// enough, and returns the number of the next.
func (s *site) jam(first int, ok func(Result) bool) (next int, total Result) {
	s.t.Helper()
	for i := first; i < first+100_000; i++ {
		r := s.publish(All(), numbered(i))
		total.Matched, total.Sent, total.Queued, total.Dropped = total.Matched+r.Matched, total.Sent+r.Sent, total.Queued+r.Queued, total.Dropped+r.Dropped
		if ok(r) {
			return i + 1, total
		}
	}
	s.t.Fatal("a client that does not read takes everything")
	return 0, total
}

// drained reads numbered messages until the last is seen, or the connection
// ends, and returns their numbers.
func (p *peer) drained(last int) (got []int, code ws.StatusCode) {
	p.t.Helper()
	for {
		f, err := p.next()
		if err != nil {
			p.t.Fatalf("after %d messages: %v", len(got), err)
		}
		switch f.Header.OpCode {
		case ws.OpClose:
			return got, ws.StatusCode(int(f.Payload[0])<<8 | int(f.Payload[1]))
		case ws.OpText:
			var i int
			if _, err := fmt.Sscanf(string(f.Payload[:6]), "%d", &i); err != nil || string(f.Payload) != numbered(i) {
				p.t.Fatalf("garbled message %.20q", f.Payload)
			}
			if got = append(got, i); i == last {
				return got, 0
			}
		}
	}
}

func rising(t *testing.T, got []int) (gaps int) {
	t.Helper()
	for k := 1; k < len(got); k++ {
		if got[k] <= got[k-1] {
			t.Fatalf("message %d came after %d", got[k], got[k-1])
		}
		if got[k] != got[k-1]+1 {
			gaps++
		}
	}
	return gaps
}

// TestSlowClose: the client is closed with 1008. It has got every message up to
// some point, and none behind it.
func TestSlowClose(t *testing.T) {
	s := start(t, tight(Config{}))
	p, other := s.stuck("/ws"), s.dial()
	go func() { _, _ = io.Copy(io.Discard, other.br) }()
	_, total := s.jam(0, func(r Result) bool { return r.Dropped == 1 })
	s.closed(ReasonSlow, 1)
	if r := s.publish(All(), "later"); r.Matched != 1 {
		t.Errorf("who is being closed is still sent to: %+v", r)
	}
	got, code := p.drained(-1)
	if gaps := rising(t, got); code != 1008 || gaps != 0 || got[0] != 0 || len(got) > total.Sent+total.Queued {
		t.Errorf("%d messages with %d gaps, then %d", len(got), gaps, code)
	}
	if st := s.Stats(); st.Dropped["close"] != 1 {
		t.Errorf("dropped: %v", st.Dropped)
	}
}

// TestDropNew: what does not fit is left out, what was queued arrives, and the
// client lives on.
func TestDropNew(t *testing.T) {
	s := start(t, tight(Config{SlowConsumer: DropNew}))
	p := s.stuck("/ws")
	n, total := s.jam(0, func(r Result) bool { return r.Dropped == 1 })
	for ; n < 1000; n++ {
		if r := s.publish(All(), numbered(n)); r.Dropped != 1 {
			t.Fatalf("message %d: %+v", n, r)
		}
		total.Dropped++
	}
	got, _ := p.drained(total.Sent + total.Queued - 1)
	if gaps := rising(t, got); gaps != 0 || len(got) != total.Sent+total.Queued {
		t.Errorf("%d messages with %d gaps, want %d", len(got), gaps, total.Sent+total.Queued)
	}
	s.sent(All(), numbered(n), 1)
	if got, _ = p.drained(n); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	p.alive()
	if st := s.Stats(); st.Dropped["drop-new"] != uint64(total.Dropped) || st.Closed["slow"] != 0 {
		t.Errorf("%s, want %d", describe(st), total.Dropped)
	}
}

// TestDropOld: the oldest waiting messages are left out, the latest arrives,
// and what was sent in part arrives whole.
func TestDropOld(t *testing.T) {
	s := start(t, tight(Config{SlowConsumer: DropOld}))
	p := s.stuck("/ws")
	last := 1500
	total := Result{}
	for i := range last + 1 {
		r := s.publish(All(), numbered(i))
		total.Sent, total.Queued = total.Sent+r.Sent, total.Queued+r.Queued
	}
	st := s.Stats()
	got, _ := p.drained(last)
	if gaps := rising(t, got); gaps != 1 || uint64(len(got)) != uint64(total.Sent+total.Queued)-st.Dropped["drop-old"] || st.Dropped["drop-old"] == 0 {
		t.Errorf("%d messages with %d gaps; %d sent, %d queued, dropped %v", len(got), gaps, total.Sent, total.Queued, st.Dropped)
	}
	p.alive()
	s.sent(All(), numbered(7), 1)
}

// TestLargeMessageAlone: one message over the limit may wait, and nothing behind it.
func TestLargeMessageAlone(t *testing.T) {
	s := start(t, tight(Config{SlowConsumer: DropNew, NotsentLowat: 4096}))
	p := s.stuck("/ws")
	large := strings.Repeat("L", 8<<20)
	if r := s.publish(All(), large); r.Queued != 1 {
		t.Fatalf("%+v", r)
	}
	if r := s.publish(All(), "small"); r.Dropped != 1 {
		t.Fatalf("%+v", r)
	}
	p.expect(large)
	p.alive()
}

// TestControlFramesStay: no policy drops the server's pings, nor the answers.
func TestControlFramesStay(t *testing.T) {
	for _, policy := range []Policy{DropNew, DropOld} {
		t.Run(policy.String(), func(t *testing.T) {
			s := start(t, tight(Config{SlowConsumer: policy, PendingAge: time.Hour}))
			p := s.stuck("/ws")
			p.send(beat)
			n, _ := s.jam(0, func(Result) bool { return sum(s.Stats().Dropped) > 100 })
			s.sleep(s.cfg.IdleTimeout)
			for range 2 {
				s.sleep(s.cfg.PongTimeout)
			}
			n, _ = s.jam(n, func(Result) bool { return sum(s.Stats().Dropped) > 200 })
			s.each(func(l *loop) {
				for slot := range l.clients.size() {
					if c := l.clients.at(slot); c.state == stateOpen && l.held(c) {
						l.send(slot, c, []byte(frameOf("answer")))
					}
				}
			})
			pings := s.Stats().Pings
			if pings != 3 {
				t.Errorf("%d pings, want 3", pings)
			}
			seen, answered, answers := uint64(0), false, 0
			for seen < pings || !answered {
				f, err := p.next()
				if err != nil {
					t.Fatalf("%v, %d of %d pings", err, seen, pings)
				}
				switch {
				case f.Header.OpCode == ws.OpPing:
					seen++
				case string(f.Payload) == "answer":
					answered = true
				case string(f.Payload) == beating:
					answers++
				}
			}
			if answers != 1 {
				t.Errorf("%d answers", answers)
			}
			_ = n
		})
	}
}

func frameOf(s string) string { return string([]byte{0x81, byte(len(s))}) + s }

// TestStuckAge: with whatever policy, nothing waits for longer than PendingAge.
func TestStuckAge(t *testing.T) {
	for policy := range policyNames {
		t.Run(Policy(policy).String(), func(t *testing.T) {
			s := start(t, tight(Config{SlowConsumer: Policy(policy), PendingLimit: 1 << 20, PendingAge: 100 * time.Millisecond, CloseTimeout: 100 * time.Millisecond}))
			s.stuck("/ws")
			if r := s.publish(All(), strings.Repeat("x", 1<<20)); r.Queued != 1 { // sent in part
				t.Fatalf("%+v", r)
			}
			s.publish(All(), "behind")
			s.until("it is closed, and then cut off", func(st Stats) bool {
				return st.Closed["slow"] == 1 && st.Clients.Connected == 0 && st.PendingBytes == 0
			})
		})
	}
}

// TestPendingTotal: the bytes that wait for all together are bounded, be they
// published or answers.
func TestPendingTotal(t *testing.T) {
	const total = 1 << 20
	within := func(s *site, started int64) {
		if n := s.memory.held.Load(); n > total+started {
			s.t.Fatalf("%d bytes are waiting, the limit is %d", n, total)
		}
	}
	t.Run("published", func(t *testing.T) {
		s := start(t, tight(Config{SlowConsumer: DropNew, PendingLimit: 1 << 20, PendingTotal: total}))
		for range 20 {
			s.stuck("/ws")
		}
		message := strings.Repeat("x", 100_000)
		for range 50 {
			s.publish(All(), message)
			within(s, 20*100_000) // what was sent in part waits in any case
		}
		if st := s.Stats(); st.Dropped["drop-new"] == 0 || st.PendingBytes < total/2 {
			t.Errorf("%s", describe(st))
		}
	})
	t.Run("answers", func(t *testing.T) {
		s := start(t, tight(Config{EchoPath: "/echo", PendingLimit: 1 << 20, PendingTotal: total, MaxMessage: 200_000}))
		other := s.dialPath("/echo")
		var senders sync.WaitGroup
		var peers []*peer
		for range 20 {
			p := s.stuck("/echo")
			peers = append(peers, p)
			senders.Go(func() {
				for range 5 {
					p.try(text(strings.Repeat("y", 200_000)))
				}
			})
		}
		eventually(t, says("the limit is reached"), func() bool {
			within(s, 2*300_000) // one answer for each loop, for a moment
			other.ask("x", "x")
			return s.Stats().Closed["memory"] > 0
		})
		for _, p := range peers {
			p.reset()
		}
		senders.Wait()
	})
}

// TestThousandStuck: a thousand clients that never read, during broadcasts, cost
// a node per message and what the limits allow, and the others get every
// message and all answers.
func TestThousandStuck(t *testing.T) {
	const stuck, messages, size = 1000, 60, 50_000
	for policy := range policyNames {
		t.Run(Policy(policy).String(), func(t *testing.T) {
			s := start(t, tight(Config{SlowConsumer: Policy(policy), PendingLimit: 8 * size, PendingTotal: 1 << 40, CloseTimeout: 50 * time.Millisecond}))
			for range stuck {
				s.stuck("/ws")
			}
			healthy := s.dialMany(5)
			var readers sync.WaitGroup
			arrived := make(chan int, len(healthy))
			for _, p := range healthy {
				readers.Go(func() {
					for i := 0; i < messages; {
						f, err := p.next()
						switch m := string(f.Payload); {
						case err == nil && strings.HasPrefix(m, fmt.Sprint(i, " ")):
							arrived <- i
							i++
							p.try(text(beat))
						case m != beating:
							t.Errorf("got %.30q %v where message %d was due", m, err, i)
							return
						}
					}
				})
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var total Result
			for i := range messages {
				r := s.publish(All(), fmt.Sprint(i, " ", strings.Repeat("x", size)))
				total.Matched, total.Sent, total.Queued, total.Dropped = total.Matched+r.Matched, total.Sent+r.Sent, total.Queued+r.Queued, total.Dropped+r.Dropped
				if n := s.memory.held.Load(); n > stuck*8*size {
					t.Fatalf("%d bytes are waiting", n)
				}
				for range healthy { // the test's own readers must not be the slow ones
					select {
					case <-arrived:
					case <-time.After(patience):
						t.Fatalf("message %d does not arrive", i)
					}
				}
			}
			readers.Wait()
			runtime.GC()
			runtime.ReadMemStats(&after)
			st := s.Stats()
			if total.Matched != total.Sent+total.Queued+total.Dropped || int(sum(st.Dropped)) < total.Dropped {
				t.Errorf("%+v, dropped %v", total, st.Dropped)
			}
			if q := st.Queue; Policy(policy) != CloseSlow && (q.Queued != uint64(total.Queued) || q.Lost != 0) {
				t.Errorf("%d queued, counted %+v", total.Queued, q)
			}
			// The messages themselves, once each, and the nodes.
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > messages*size+stuck*16*100+(4<<20) {
				t.Errorf("the heap has grown by %d bytes", grown)
			}
		})
	}
}

// TestLargeToAll: with the default limits the largest messages that the admin
// side takes, four in a row, reach everybody who reads, and heartbeats go on.
// What waits for many counts once: by its copies it would be over the total.
func TestLargeToAll(t *testing.T) {
	const clients, messages, size = 40, 4, 1 << 20
	s := start(t, Config{PendingTotal: 2 * messages * size})
	var reading sync.WaitGroup
	for _, p := range s.dialMany(clients) {
		reading.Go(func() {
			for i := 0; i < messages; {
				f, err := p.next()
				switch {
				case err != nil:
					t.Errorf("message %d: %v", i, err)
					return
				case len(f.Payload) == size && f.Payload[0] == byte('a'+i):
					i++
					p.try(text(beat))
				case string(f.Payload) != beating:
					t.Errorf("got %.20q where message %d was due", f.Payload, i)
					return
				}
			}
			if f, err := p.next(); err != nil || string(f.Payload) != beating {
				t.Errorf("the last heartbeat: %.60q %v", f.Payload, err)
			}
		})
	}
	for i := range messages {
		if r := s.publish(All(), strings.Repeat(string(rune('a'+i)), size)); r.Matched != clients || r.Dropped != 0 {
			t.Errorf("message %d: %+v", i, r)
		}
	}
	reading.Wait()
}

// TestSharedOnce: what waits for many, of several loops, is in memory once.
func TestSharedOnce(t *testing.T) {
	const clients, size = 30, 4 << 20
	s := start(t, tight(Config{Loops: 3, PendingLimit: 2 * size}))
	var peers []*peer
	for range clients {
		peers = append(peers, s.stuck("/ws"))
	}
	for i := range 2 {
		if r := s.publish(All(), strings.Repeat("x", size)); r.Queued != clients {
			t.Fatalf("message %d: %+v", i, r)
		}
	}
	frames := int64(2 * len(conn.Compile(ws.OpText, make([]byte, size))))
	if got, want := s.Stats().PendingBytes, frames+2*clients*nodeCost; got != want {
		t.Errorf("%d bytes of memory, want %d", got, want)
	}
	for i, p := range peers {
		if i > 0 {
			p.reset()
			continue
		}
		for range 2 {
			if n := len(p.recv()); n != size {
				t.Errorf("got %d bytes", n)
			}
		}
	}
	s.until("nothing waits", func(st Stats) bool { return st.PendingBytes == 0 })
}
