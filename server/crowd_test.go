package server

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// from connects from an address of 127.0.0.0/8 and says nothing.
func (s *site) from(ip string) *peer {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
	c, err := d.Dial("tcp", s.Addrs()[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return peerOf(s.t, c)
}

// silent opens n connections from an address that say nothing.
func (s *site) silent(ip string, n int) (all []*peer) {
	s.t.Helper()
	for range n {
		all = append(all, s.from(ip))
	}
	return all
}

// TestSilentCrowd: one address that begins handshakes and says nothing does not
// keep others out, whichever places it takes. Its oldest make room.
func TestSilentCrowd(t *testing.T) {
	for name, cfg := range map[string]Config{
		"handshakes": {MaxHandshakes: 40},
		"clients":    {MaxClients: 40},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, cfg)
			crowd := s.silent("127.0.0.9", 39) // fewer than all, so that the last is in for sure
			s.until("they are there", func(st Stats) bool { return st.Clients.Joining == 39 })
			extra := s.silent("127.0.0.9", 5)
			s.until("the rest is refused", func(st Stats) bool { return st.Refused["max_"+name] == 4 })
			for range 10 {
				p := s.from("127.0.0.8")
				p.shake("/ws")
				p.alive()
				p.leave()
			}
			st := s.Stats()
			if st.Refused["evicted"] == 0 || st.Refused["evicted"] > 10 || st.Refused["max_"+name] != 4 {
				t.Errorf("refused: %v", st.Refused)
			}
			gone := crowd[:st.Refused["evicted"]] // of each loop the oldest; here of two
			ended := 0
			eventually(t, func() string { return fmt.Sprintf("%d were told, %d evicted", ended, len(gone)) }, func() bool {
				ended = 0
				for _, p := range crowd {
					_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
					if b, err := p.br.Peek(12); err == nil && string(b) == "HTTP/1.1 503" {
						ended++
					}
				}
				return ended == len(gone)
			})
			for _, p := range append(crowd, extra...) {
				p.Close()
			}
		})
	}
}

// TestCrowdKeepsItsOwn: a newcomer of the address that has the most handshakes
// under way takes the place of none, until one has had its time.
func TestCrowdKeepsItsOwn(t *testing.T) {
	s := start(t, Config{MaxHandshakes: 3, Loops: 1})
	all := s.silent("127.0.0.1", 3)
	s.until("they are there", func(st Stats) bool { return st.Clients.Joining == 3 })
	s.tooMany(s.connect())
	s.each(func(l *loop) { // as if the first had been here for long
		_, c := l.oldestJoiner(func(joiner) bool { return true })
		l.wheel.now += l.timeout(squeezeAfter)
		l.start = l.start.Add(-time.Duration(l.timeout(squeezeAfter)) * l.tick)
		for _, e := range l.joiners.queue {
			if other := l.joining(e); other != c {
				other.stamp = l.wheel.now
			}
		}
	})
	s.dial().alive()
	if r := all[0].response(); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("the oldest got %s", r.Status)
	}
	all[1].shake("/ws")
	all[2].shake("/ws")
	s.refusedFor(refusedEvicted, 1)
}

// TestWholeHandshakeIsNotEvicted: what lies in the kernel comes before the
// verdict.
func TestWholeHandshakeIsNotEvicted(t *testing.T) {
	s := start(t, Config{MaxHandshakes: 4, Loops: 1})
	crowd := s.silent("127.0.0.9", 4)
	s.until("they are there", func(st Stats) bool { return st.Clients.Joining == 4 })
	late := make(chan struct{})
	s.loops[0].post(func(*loop) { <-late }) // the loop is late, and both come meanwhile
	crowd[0].write(request("/ws"))
	p := s.from("127.0.0.8")
	close(late)
	p.shake("/ws")
	if r := crowd[0].response(); r.StatusCode != 101 {
		t.Errorf("who was in time got %s", r.Status)
	}
	crowd[0].alive()
	p.alive()
}

// TestReadyTells: a server whose places are all taken says so, as long as that
// keeps newcomers out.
func TestReadyTells(t *testing.T) {
	s := start(t, Config{MaxHandshakes: 4})
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	s.silent("127.0.0.1", 4)
	s.until("they are there", func(st Stats) bool { return st.Clients.Joining == 4 })
	if err := s.Ready(); err != nil {
		t.Errorf("nobody was refused: %v", err)
	}
	s.tooMany(s.connect())
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "max-handshakes") {
		t.Errorf("newcomers are kept out: %v", err)
	}
	eventually(t, says("one of another address comes in"), func() bool { // its loop may have none to give
		p := s.from("127.0.0.2")
		p.write(request("/ws"))
		return p.response().StatusCode == 101
	})
	if err := s.Ready(); err != nil {
		t.Errorf("others are let in: %v", err)
	}
	s.keptOut.Store(s.age() - int64(keptOutFor))
	if err := s.Ready(); err != nil {
		t.Errorf("it is over: %v", err)
	}
	s.keptOut.Store(s.age())
	s.backingOff.Store(true)
	if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "not accepted") {
		t.Errorf("nobody is accepted: %v", err)
	}
	s.backingOff.Store(false)
}

// TestRateIsForThoseWhoMayCome: an address over its share does not use up the
// rate of handshakes for others, nor does who finds the places taken.
func TestRateIsForThoseWhoMayCome(t *testing.T) {
	s := start(t, Config{HandshakeRate: 4, MaxPerAddress: 2, MaxHandshakes: 3, Loops: 1})
	in := s.silent("127.0.0.9", 2)
	for range 60 {
		s.tooMany(s.from("127.0.0.9"))
	}
	s.refusedFor(refusedAddress, 60)
	p := s.from("127.0.0.8") // the third token of four
	p.shake("/ws")
	p.alive()
	in = append(in, s.from("127.0.0.7")) // the fourth
	s.until("all places are taken", func(st Stats) bool { return st.Clients.Joining == 3 })
	s.each(func(l *loop) {
		l.accept.tokens, l.accept.refilled = 1, time.Now()
		for range 5 { // of an address that has as many as the others will have
			n := newcomer{fd: -1, peer: netip.MustParseAddrPort("127.0.0.7:1")}
			if !l.accept.allowed(l, &n) || !n.squeeze || !n.share {
				t.Fatalf("with a token: %+v", n)
			}
			s.population.enter(n.place())
			if !l.squeeze(&n) || !n.refuse || n.share || s.unspent.Load() != 1 {
				t.Errorf("%+v, and %d tokens came back", n, s.unspent.Load())
			}
			s.population.leave(n.place())
		}
	})
	for _, p := range in {
		p.Close()
	}
}

// TestCrowd holds the heap to a count by hand.
func TestCrowd(t *testing.T) {
	c := crowd{of: map[[16]byte]*address{}}
	counts := map[[16]byte]int{}
	seed := uint32(1)
	for range 20_000 {
		seed = seed*1664525 + 1013904223
		key := [16]byte{byte(seed >> 24 & 31)}
		n := 1
		if counts[key] > 0 && seed>>8&1 == 0 {
			n = -1
		}
		counts[key] += n
		c.add(key, n)
		most := 0
		for k, n := range counts {
			most = max(most, n)
			if c.count(k) != n {
				t.Fatalf("%v has %d, want %d", k, c.count(k), n)
			}
		}
		if m := c.most(); most > 0 && m.count != most || most == 0 && m != nil {
			t.Fatalf("the most is %+v, want %d", m, most)
		}
	}
}
