package server

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"
)

// tooMany expects a newcomer to be told to come back later.
func (s *site) tooMany(p *peer) {
	s.t.Helper()
	p.write(request("/ws"))
	r := p.refused(503)
	base := int(s.cfg.RetryAfter / time.Second)
	if after, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || after < base || after > 2*base {
		s.t.Errorf("Retry-After: %q, want %d to %d", r.Header.Get("Retry-After"), base, 2*base)
	}
	p.Close()
}

// room waits until a newcomer is let in.
func (s *site) room(what string) (p *peer) {
	s.t.Helper()
	eventually(s.t, says(what), func() bool {
		p = s.connect()
		p.write(request("/ws"))
		return p.response().StatusCode == 101
	})
	p.alive()
	return p
}

func (s *site) refusedFor(what int, n uint64) {
	s.t.Helper()
	s.until("refused for "+refusalNames[what], func(st Stats) bool { return st.Refused[refusalNames[what]] == n })
}

func TestMaxClients(t *testing.T) {
	s := start(t, Config{MaxClients: 3, RetryAfter: 7 * time.Second, CloseTimeout: 100 * time.Millisecond})
	if err := s.Ready(); err != nil {
		t.Errorf("with no client: %v", err)
	}
	in := s.dialMany(3)
	if s.Ready() == nil {
		t.Error("ready, and full")
	}
	for range 10 {
		s.tooMany(s.connect())
	}
	for _, p := range in {
		p.alive()
	}
	s.refusedFor(refusedClients, 10)
	in[1].leave()
	p := s.room("a place is free again")
	if st := s.Stats(); st.Closed["refused"] < 10 || st.Opened != 4 {
		t.Errorf("%s", describe(st))
	}
	p.Close()
	s.until("the place is free", func(st Stats) bool { return st.Clients.Connected == 2 })
	if err := s.Ready(); err != nil {
		t.Errorf("with a place free: %v", err)
	}
}

// TestRefusedCrowd: no more newcomers wait for their 503 than the reserve
// allows. The others are cut off, and nobody who is there is harmed.
func TestRefusedCrowd(t *testing.T) {
	s := start(t, Config{MaxClients: 1})
	p := s.dial()
	var crowd []net.Conn
	for range s.limits.Spare()/2 + 50 {
		if c, err := net.Dial("tcp", s.Addrs()[0]); err == nil { // it may be reset that early
			crowd = append(crowd, c)
		}
	}
	s.until("who is too many is turned away", func(st Stats) bool { return st.TurnedAway == 50 })
	p.alive()
	for _, c := range crowd {
		c.Close()
	}
	s.until("the crowd is gone", func(st Stats) bool { return st.Clients.Connected == 1 })
	s.tooMany(s.connect())
}

func TestMaxHandshakes(t *testing.T) {
	s := start(t, Config{MaxHandshakes: 2})
	old := s.dial()
	a, b := s.connect(), s.connect()
	s.until("two are joining", func(st Stats) bool { return st.Clients.Joining == 2 })
	s.tooMany(s.connect())
	s.refusedFor(refusedHandshakes, 1)
	a.shake("/ws") // done
	s.dial().alive()
	b.reset()
	s.until("the other has gone", func(st Stats) bool { return st.Clients.Joining == 0 })
	s.dial().alive()
	old.alive()
}

func TestHandshakeRate(t *testing.T) {
	s := start(t, Config{HandshakeRate: 2})
	in := s.dialMany(2) // a second's worth
	eventually(t, says("a burst is refused"), func() bool {
		p := s.connect()
		p.write(request("/ws"))
		return p.response().StatusCode == 503
	})
	for _, p := range in {
		p.alive()
	}
	if s.Stats().Refused[refusalNames[refusedRate]] == 0 {
		t.Error("not counted")
	}
	s.room("time has passed")
}

// TestTakeToken has the clock that the bucket is filled by in its hands.
func TestTakeToken(t *testing.T) {
	a := &acceptor{tokens: 10, refilled: time.Now()}
	for range 10 {
		if !a.takeToken(10, 0) {
			t.Fatal("the burst is less than a second's worth")
		}
	}
	a.refilled = time.Now().Add(-time.Hour)
	taken := 0
	for a.takeToken(10, 0) {
		taken++
	}
	if taken < 10 || taken > 11 {
		t.Errorf("%d after an hour, want a second's worth", taken)
	}
	if !a.takeToken(0, 0) {
		t.Error("no rate refuses")
	}
}

func TestMaxPerAddress(t *testing.T) {
	s := start(t, Config{MaxPerAddress: 2})
	from := func(ip string) *peer {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		c, err := d.Dial("tcp", s.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		return peerOf(t, c)
	}
	settle := func(n int64) {
		s.until("the others are gone", func(st Stats) bool { return st.Clients.Connected == n })
	}
	a := s.dial()
	b := s.dial()
	s.tooMany(s.connect())
	s.refusedFor(refusedAddress, 1)
	settle(2)
	c := from("127.0.0.2")
	c.shake("/ws")
	c.alive()
	a.alive()
	a.leave()
	settle(2)
	s.dial().alive() // the share is free again
	b.reset()
	settle(2)
	half := s.connect() // joining ones count
	s.until("it is there", func(st Stats) bool { return st.Clients.Joining == 1 })
	s.tooMany(s.connect())
	half.Close()
	settle(2)
	s.dial().alive()
}

// TestUnwatchable: when the kernel does not watch a newcomer's socket (ENOSPC),
// it is closed, what it was counted in is given back, and the log is not flooded.
func TestUnwatchable(t *testing.T) {
	log, lines := countingLog()
	s := start(t, Config{Logger: log, Loops: 1, MaxPerAddress: 100})
	p := s.dial()
	peer := p.LocalAddr().(*net.TCPAddr).AddrPort()
	for range 50 {
		s.each(func(l *loop) {
			n := newcomer{fd: unpollable(t), peer: peer, id: s.newID()}
			n.share = s.population.shares.enter(n.peer, s.cfg.MaxPerAddress)
			s.population.enter(n.place())
			l.welcome([]newcomer{n})
		})
	}
	st := s.until("all are closed", func(st Stats) bool { return st.Clients.Connected == 1 })
	s.population.shares.mu.Lock()
	share := s.population.shares.counts[shareKey(peer.Addr().As16())]
	s.population.shares.mu.Unlock()
	if st.Closed["internal"] != 50 || st.AcceptErrors != 50 || share != 1 {
		t.Errorf("%s, the address has %d", describe(st), share)
	}
	if n := lines.Load(); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
	p.alive()
}

// TestNeverStarted: Stop gives back what New took, connections in the queue too.
func TestNeverStarted(t *testing.T) {
	before := inUse()
	s := newSite(t, Config{})
	if s.Ready() == nil {
		t.Error("ready, and not started")
	}
	var queued []*peer
	for range 20 {
		queued = append(queued, s.connect())
	}
	s.stop()
	s.checkEmpty()
	for _, p := range queued {
		p.Close()
	}
	checkNoMore(t, before)
	if err := s.Start(); err == nil {
		t.Error("started after Stop")
	}
	if _, err := s.Publish(t.Context(), All(), Message{}); !errors.Is(err, ErrStopped) {
		t.Errorf("Publish: %v", err)
	}
}

// TestNewFails: nothing is left of a server that cannot be made.
func TestNewFails(t *testing.T) {
	before := inUse()
	for _, cfg := range []Config{
		{Listen: []string{"127.0.0.1:0", "nonsense"}},
		{Listen: []string{"127.0.0.1:0", "unix:/nonexistent/socket"}},
		{Path: "ws"}, {EchoPath: "/ws"}, {SlowConsumer: 9}, {MaxHeader: 1}, {Workers: -1}, {PendingLimit: 1},
	} {
		if s, err := New(cfg); err == nil {
			t.Errorf("%+v: made %v", cfg, s)
		}
	}
	checkNoMore(t, before)
}

// TestStartFails: a server that could not begin can be stopped, and leaves nothing.
func TestStartFails(t *testing.T) {
	before := inUse()
	s := newSite(t, Config{Loops: 3})
	p := s.connect()
	if err := s.watcher.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started without a watcher")
	}
	s.stop()
	s.checkEmpty()
	p.Close()
	checkNoMore(t, before)
}
