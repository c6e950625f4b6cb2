package server

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// Socket options that package syscall does not name.
const (
	tcpUserTimeout  = 18
	tcpNotsentLowat = 25
)

// sleep has every loop see that so much time passes, and a little more: a time-out
// of that length is over. Nobody who is slow in this process is late for it.
func (s *site) sleep(d time.Duration) {
	s.t.Helper()
	s.each(func(l *loop) { l.sleep(d + 2*l.tick) })
}

// pinged reads a ping and returns its payload.
func (p *peer) pinged() string {
	p.t.Helper()
	f, err := p.next()
	if err != nil || f.Header.OpCode != ws.OpPing {
		p.t.Fatalf("got %+v %q %v, want a ping", f.Header, f.Payload, err)
	}
	return string(f.Payload)
}

// TestIdle: silence is answered by a ping, further silence by a close. Who
// answers lives, whatever the answer is.
func TestIdle(t *testing.T) {
	s := start(t, Config{IdleTimeout: time.Minute, PongTimeout: time.Minute})
	silent, ponging, talking := s.dial(), s.dial(), s.dial()
	const rounds = 5
	for n := range uint64(rounds) {
		s.sleep(time.Minute)
		ponging.write(frame(ws.OpPong, ponging.pinged()))
		talking.pinged()
		talking.alive()
		s.until("the pong is read", func(st Stats) bool { return st.ControlsIn > n })
	}
	silent.pinged()
	if code, reason := silent.ended(); code != 1008 || reason != "idle: the ping was not answered" {
		t.Errorf("closed with %d %q", code, reason)
	}
	ponging.alive()
	s.closed(ReasonIdle, 1)
	if st := s.Stats(); st.Pings != 1+2*rounds || st.Clients.Open != 2 {
		t.Errorf("%d pings; %s", st.Pings, describe(st))
	}
}

// TestPongLongerThanIdle: the two time-outs add up, whichever is longer. Silence
// gets one ping, not one for each IdleTimeout, and the close comes both of them
// after the last byte, in the loop's own time.
func TestPongLongerThanIdle(t *testing.T) {
	for _, c := range []struct{ idle, pong time.Duration }{{time.Minute, 5 * time.Minute}, {5 * time.Minute, time.Minute}} {
		s := start(t, Config{Loops: 1, IdleTimeout: c.idle, PongTimeout: c.pong})
		p := s.dial()
		p.alive()
		s.each(func(l *loop) {
			last, pings := l.clients.at(0).stamp, l.count.n[nPings]
			idle, pong := l.timeout(c.idle), l.timeout(c.pong)
			for l.clients.at(0).state == stateOpen && l.wheel.now-last <= 2*(idle+pong) {
				l.turnWheel(l.wheel.now + 1)
				l.lookOn(lookSlice)
				silent := l.wheel.now - last
				if want := pings + uint64(min(silent/idle, 1)); l.count.n[nPings] != want {
					t.Errorf("%v and %v: %d pings after %d ticks, want %d", c.idle, c.pong, l.count.n[nPings], silent, want)
					return
				}
				if open := l.clients.at(0).state == stateOpen; open != (silent < idle+pong) {
					t.Errorf("%v and %v: after %d ticks it is open: %v; %d and %d ticks were given", c.idle, c.pong, silent, open, idle, pong)
					return
				}
			}
		})
		p.pinged()
		p.closedWith(1008)
	}
}

// TestIdleOff: a negative time-out is none.
func TestIdleOff(t *testing.T) {
	s := start(t, Config{IdleTimeout: -1})
	p := s.dial()
	s.each(func(l *loop) {
		if l.clients.used == 0 {
			return
		}
		if c := l.clients.at(0); c.state == stateOpen && c.due != 0 {
			t.Error("somebody will look at a client that has no time-out")
		}
	})
	s.sleep(time.Hour)
	p.alive()
	if st := s.Stats(); st.Pings != 0 {
		t.Errorf("%d pings", st.Pings)
	}
}

// TestUnanswered: a peer that does not answer the close either is cut off, and
// chatter does not prolong its time.
func TestUnanswered(t *testing.T) {
	s := start(t, Config{CloseTimeout: time.Minute})
	mute, chatty := s.dial(), s.dial()
	s.sleep(s.cfg.IdleTimeout)
	s.sleep(s.cfg.PongTimeout)
	for _, p := range []*peer{mute, chatty} {
		p.pinged()
		if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpClose {
			t.Errorf("%+v %v", f, err)
		}
	}
	pong := frame(ws.OpPong, "") // but no close frame
	for range 4 {
		before := s.Stats().BytesIn
		s.sleep(s.cfg.CloseTimeout / 5)
		chatty.write(pong)
		s.until("it is read", func(st Stats) bool { return st.BytesIn == before+uint64(len(pong)) && st.Clients.Closing == 2 })
	}
	s.sleep(s.cfg.CloseTimeout / 5)
	s.until("both are gone", func(st Stats) bool { return st.Clients.Connected == 0 && st.Closed["idle"] == 2 })
	mute.finished()
}

// TestVanished: a peer that is no longer there, and of whose end no packet
// told, is found: by the unanswered ping, and by the kernel.
func TestVanished(t *testing.T) {
	s := start(t, Config{UserTimeout: 1234 * time.Millisecond, NotsentLowat: 4321})
	p := s.dial()
	s.each(func(l *loop) {
		for slot := range l.clients.size() {
			c := l.clients.at(slot)
			if c.state != stateOpen {
				continue
			}
			for opt, want := range map[int]int{tcpUserTimeout: 1234, tcpNotsentLowat: 4321, syscall.TCP_NODELAY: 1} {
				if got, err := syscall.GetsockoptInt(int(c.fd), syscall.IPPROTO_TCP, opt); err != nil || got != want {
					t.Errorf("option %d of the socket is %d (%v), want %d", opt, got, err, want)
				}
			}
			if got, err := syscall.GetsockoptInt(int(c.fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); err != nil || got != 0 {
				t.Errorf("keepalive probes: %d (%v)", got, err)
			}
		}
	})
	// It stays silent from here on, and so does its kernel, as far as the
	// protocol can see.
	for _, d := range []time.Duration{s.cfg.IdleTimeout, s.cfg.PongTimeout, s.cfg.CloseTimeout} {
		s.sleep(d)
	}
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 && st.Closed["idle"] == 1 })
	p.Close()
}

// TestHandlerIsNotSilence: a client that waits for its answer is pinged, but
// not closed for having its pong left unread.
func TestHandlerIsNotSilence(t *testing.T) {
	m := testMux()
	g := locked(m)
	s := start(t, Config{Mux: m, ActionTimeout: time.Hour})
	p := s.dial()
	p.send(`{"actioncode":"wait","data":3}`)
	g.wait(t)
	for range 4 {
		s.sleep(s.cfg.IdleTimeout)
		p.write(frame(ws.OpPong, p.pinged()))
		s.sleep(s.cfg.PongTimeout) // the pong lies unread
	}
	close(g.release)
	for {
		f, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpText {
			if string(f.Payload) != good("3", "wait") {
				t.Errorf("%s", f.Payload)
			}
			break
		}
	}
}

// TestLateLoop: a pong that lies unread because the loop was late saves its
// client when the verdict is due.
func TestLateLoop(t *testing.T) {
	s := start(t, Config{Loops: 1})
	p := s.dial()
	s.each(func(l *loop) {
		c := l.clients.at(0)
		c.set(flagPinged)
		c.pinged = l.wheel.now - l.timeout(s.cfg.PongTimeout)
		p.try(frame(ws.OpPong, "")) // it is in the kernel when this returns
		l.look(0, c)
		if c.state != stateOpen || c.is(flagPinged) {
			t.Errorf("state %d, flags %b", c.state, c.flags)
		}
		c.set(flagPinged)
		l.look(0, c)
		if c.state != stateClosing {
			t.Errorf("without a pong: state %d", c.state)
		}
	})
	p.closedWith(1008)
}

// TestStall: the time in which the server itself stood still is not held
// against a client that has not even got its ping.
func TestStall(t *testing.T) {
	s := start(t, Config{Loops: 1})
	p := s.dial()
	s.each(func(l *loop) {
		l.turnWheel(l.wheel.now + l.timeout(s.cfg.IdleTimeout) + l.timeout(s.cfg.PongTimeout) + 2*wheelSize)
		l.lookOn(lookSlice)
		if c := l.clients.at(0); c.state != stateOpen || !c.is(flagPinged) {
			t.Errorf("after a stall: state %d, flags %b", c.state, c.flags)
		}
	})
	p.pinged()
}

// sleep has the machine sleep for so long, as far as the loop can see, and then
// go on with what has fallen due. The clients' times of arrival go back with the
// start, as they would be if the time had passed.
func (l *loop) sleep(d time.Duration) {
	l.start = l.start.Add(-d)
	for slot := range l.clients.size() {
		l.clients.at(slot).since -= int64(d)
	}
	l.passTime()
	for l.wheel.looking() || l.slow.unchecked > 0 || l.drain.quota > 0 {
		l.workOff()
	}
}

// TestSleepJoining: whose handshake came while the server slept is let in, who is
// to be refused is told so, and only who sent nothing is told that it took too long.
func TestSleepJoining(t *testing.T) {
	s := start(t, Config{Loops: 1, MaxClients: 2})
	late, silent := s.connect(), s.connect()
	s.until("two are joining", func(st Stats) bool { return st.Clients.Joining == 2 })
	refused := s.connect()
	s.until("three are", func(st Stats) bool { return st.Clients.Joining == 3 })
	s.each(func(l *loop) {
		late.write(request("/ws")) // it is in the kernel when this returns
		refused.write(request("/ws"))
		l.sleep(time.Minute)
	})
	if r := late.response(); r.StatusCode != 101 {
		t.Errorf("a handshake that came in time: %s", r.Status)
	}
	late.alive()
	refused.refused(503)
	silent.refused(408)
}

// TestSleepFirstMessage: nor is a first message that came while it slept too late.
func TestSleepFirstMessage(t *testing.T) {
	s := start(t, Config{Loops: 1, FirstMessageTimeout: 10 * time.Second})
	p, silent := s.dial(), s.dial()
	s.each(func(l *loop) {
		p.send(beat)
		l.sleep(30 * time.Second)
		if c := l.clients.at(0); c.state != stateOpen || c.due == 0 {
			t.Errorf("who spoke is in state %d, bucket %d", c.state, c.due)
		}
	})
	p.expect(beating)
	p.alive()
	silent.closedWith(1008)
	s.closed(ReasonSilent, 1)
}

// TestSleepClosing: who answered the close while the server slept is not reset.
func TestSleepClosing(t *testing.T) {
	s := start(t, Config{Loops: 1})
	p := s.dial()
	s.each(func(l *loop) {
		l.close(0, l.clients.at(0), ReasonAdmin, 1008, "enough")
		p.goodbye()
		l.sleep(time.Minute)
	})
	p.closedWith(1008)
}

// TestSleepStuck: who took what the kernel had for it while the server slept is
// no slow consumer, whatever the policy, and gets all the rest; who did not, is.
func TestSleepStuck(t *testing.T) {
	for policy := range policyNames {
		t.Run(Policy(policy).String(), func(t *testing.T) {
			s := start(t, tight(Config{Loops: 1, SlowConsumer: Policy(policy), IdleTimeout: -1, CloseTimeout: briefly}))
			p, slow := s.stuck("/ws"), s.stuck("/ws")
			n, _ := s.jam(0, func(r Result) bool { return r.Queued == 2 })
			n, _ = s.jam(n, func(Result) bool { return s.memory.held.Load() > 20<<10 }) // waits for both, counts once
			var fd int
			s.each(func(l *loop) { fd = int(l.clients.at(0).fd) })
			asleep, wake := make(chan struct{}), make(chan struct{})
			judged := make(chan [2]state)
			s.loops[0].post(func(l *loop) {
				close(asleep)
				<-wake
				l.sleep(time.Minute)
				st := l.clients.at(0).state
				l.sleep(time.Second) // the next tick
				judged <- [2]state{st, l.clients.at(0).state}
			})
			<-asleep
			p.takeAll(fd)
			close(wake)
			if st := <-judged; st != [2]state{stateOpen, stateOpen} {
				t.Errorf("who had taken all there was is in states %d", st)
			}
			p.drained(n - 1)
			p.alive()
			if Policy(policy) == CloseSlow {
				eventually(t, says("who takes nothing is closed"), func() bool {
					s.each(func(l *loop) { l.sleep(time.Minute) })
					return s.Stats().Closed["slow"] == 1
				})
			}
			slow.reset()
		})
	}
}

// TestSleepStuckServedFirst: nor is one whose socket is served in the turn that finds
// out how long it was, before the clock is read: it takes no more in that turn.
func TestSleepStuckServedFirst(t *testing.T) {
	s := start(t, tight(Config{Loops: 1, IdleTimeout: -1, PendingLimit: 16 << 20, CloseTimeout: briefly}))
	p := s.stuck("/ws")
	if r := s.publish(All(), strings.Repeat("x", 8<<20)); r.Queued != 1 {
		t.Fatalf("%+v", r)
	}
	var fd int
	s.each(func(l *loop) { fd = int(l.clients.at(0).fd) })
	asleep, wake := make(chan struct{}), make(chan struct{})
	judged := make(chan [2]state)
	s.loops[0].post(func(l *loop) {
		close(asleep)
		<-wake
		c := l.clients.at(0)
		pending := c.pending
		for { // as its event does, until the kernel has no room
			n := c.pending
			if l.flush(0, c); c.pending == n {
				break
			}
		}
		if c.pending == pending || c.head == 0 {
			t.Errorf("%d bytes wait of %d", c.pending, pending)
		}
		l.sleep(time.Minute)
		st := c.state
		l.sleep(s.cfg.PendingAge + 3*l.tick) // it has taken nothing more
		judged <- [2]state{st, c.state}
	})
	<-asleep
	p.takeAll(fd)
	close(wake)
	if st := <-judged; st != [2]state{stateOpen, stateClosing} {
		t.Errorf("it is in states %d", st)
	}
	p.reset()
}

// takeAll takes from the kernel what there is, for later reads: until fd, the
// server's side of the connection, has nothing left to send.
func (p *peer) takeAll(fd int) {
	p.t.Helper()
	var got bytes.Buffer
	eventually(p.t, says("the kernel has sent all"), func() bool {
		left, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		if err != nil {
			p.t.Fatal(err)
		}
		_ = p.Conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		n, _ := io.Copy(&got, p.br)
		return left == 0 && n == 0
	})
	_ = p.Conn.SetReadDeadline(time.Now().Add(patience))
	if got.Len() == 0 {
		p.t.Fatal("there was nothing")
	}
	p.br = bufio.NewReader(io.MultiReader(&got, p.Conn))
}
