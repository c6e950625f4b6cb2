package server

import (
	"strings"
	"testing"
	"time"
)

// knowingCluster is knowing in a fake cluster.
func knowingCluster(t *testing.T, cfg Config) (*fakeCluster, *site) {
	t.Helper()
	cfg.Mux = knowingMux(time.Now)
	if cfg.Auth == "" {
		cfg.Auth = AuthRequired
	}
	return inFakeCluster(t, cfg)
}

// join begins a handshake with a token.
func (s *site) join(token string) *peer {
	s.t.Helper()
	p := s.connect()
	p.write(request("/ws", bearer(token)) + text(beat))
	return p
}

// shaken expects that the handshake is answered, and then what came behind it.
func (p *peer) shaken() {
	p.t.Helper()
	if r := p.response(); r.StatusCode != 101 {
		p.t.Fatalf("the handshake: %s", r.Status)
	}
	p.expect(beating)
}

// TestHandshakeWaitsForCluster: the handshake of a newcomer whose token has topics is
// answered when the cluster knows of them. Nobody finds it before, and nothing of it
// is left if it goes, or its token is revoked meanwhile.
func TestHandshakeWaitsForCluster(t *testing.T) {
	f, s := knowingCluster(t, Config{})
	s.join("grace").shaken() // no topics, no wait
	for _, slow := range []string{"", "slow:"} {
		p := s.join(slow + "ada;topics=a")
		f.waits(t, 1)
		if r := s.publish(Topic("a"), "early"); r.Matched != 0 {
			t.Errorf("before the answer a publish meets %d", r.Matched)
		}
		if list, _ := s.UserClients(t.Context(), "ada", 9); len(list) != 0 || s.UserCount("ada") != 1 {
			t.Errorf("found before the answer: %v, of %d", list, s.UserCount("ada"))
		}
		f.letKnow()
		p.shaken()
		s.publish(Topic("a"), "hello")
		p.expect("hello")
		p.leave()
	}
	p := s.join("ada;topics=b;id=t1")
	gone := s.join("ada;topics=c")
	f.waits(t, 2)
	gone.reset()
	if _, err := s.Revoke(t.Context(), Revocation{Token: "t1"}); err != nil {
		t.Fatal(err)
	}
	f.letKnow()
	p.turnedAway(401, "token revoked")
	s.until("nobody is left", func(st Stats) bool { return st.Users == 1 && st.Topics == 0 })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.open) != 0 {
		t.Errorf("topics are open without subscribers: %v", f.open)
	}
}

// TestHandoverOfWaiting: a handover does not wait for the cluster either, and whoever
// waits for it gets its answer.
func TestHandoverOfWaiting(t *testing.T) {
	f, s := knowingCluster(t, Config{})
	p := s.join("ada;topics=a")
	f.waits(t, 1)
	cfg := s.cfg
	young, _ := s.pass(Config{Mux: cfg.Mux, Auth: AuthRequired})
	p.shaken()
	young.publish(Topic("a"), "hello")
	p.expect("hello")
	f.letKnow() // nobody waits any more
	young.until("it is known", func(st Stats) bool { return st.Users == 1 })
}

// TestMaxPerUserOfCluster: the clients at other nodes count, whether they are told at
// once or later; who proves by a message who it is, is closed. A limit that does not
// refuse is the cluster's to see to.
func TestMaxPerUserOfCluster(t *testing.T) {
	f, s := knowingCluster(t, Config{MaxPerUser: 3, TokenFrom: []string{TokenHeader, TokenMessage}, Auth: AuthOptional})
	elsewhere, answers := 0, make(chan func(int), 1)
	there := func(n int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		elsewhere = n
	}
	f.mu.Lock()
	f.known = true
	f.elsewhere = func(user string, done func(int)) bool {
		switch {
		case user != "ada":
			return false
		case elsewhere < 0:
			answers <- done
		default:
			done(elsewhere)
		}
		return true
	}
	f.mu.Unlock()
	s.join("bob").shaken() // nobody else is there
	a := s.join("ada")
	a.shaken()
	there(2)
	p := s.join("ada")
	p.turnedAway(429, "too many connections of this user")
	there(-1)
	b := s.join("ada;topics=x")
	(<-answers)(1)
	b.shaken()
	p = s.join("ada")
	(<-answers)(1)
	p.turnedAway(429, "too many connections of this user")
	p = s.join("ada;limit=4")
	(<-answers)(1)
	p.shaken()
	p.leave()
	there(1)
	late := s.dial()
	late.send(`{"actioncode":"auth","token":"ada"}`)
	late.recv()
	late.closedWith(1008)
	s.until("two are left", func(Stats) bool { return s.UserCount("ada") == 2 })
	if st := s.Stats(); st.Auth["user_limit"] != 3 {
		t.Errorf("refused for the limit: %d", st.Auth["user_limit"])
	}

	f, s = knowingCluster(t, Config{MaxPerUser: 2, MaxPerUserPolicy: CloseOldest})
	s.join("ada").shaken()
	s.join("ada;limit=5").shaken()
	f.mu.Lock()
	if got := strings.Join(f.thinned, ", "); got != "ada 2, ada 5" {
		t.Errorf("the cluster was told of %s", got)
	}
	f.mu.Unlock()
	if _, age, ok, err := s.OldestOfUser(t.Context(), "ada"); !ok || age <= 0 || err != nil {
		t.Errorf("the oldest: %v %v %v", age, ok, err)
	}
	if _, _, ok, err := s.OldestOfUser(t.Context(), "nobody"); ok || err != nil {
		t.Errorf("of nobody: %v %v", ok, err)
	}
}

// TestDisplace: the oldest of a user, over all loops, is found and closed for a newer.
func TestDisplace(t *testing.T) {
	_, s := knowingCluster(t, Config{Loops: 3})
	var peers []*peer
	for range 8 {
		p := s.join("ada")
		p.shaken()
		peers = append(peers, p)
	}
	for _, p := range peers {
		id, _, ok, err := s.OldestOfUser(t.Context(), "ada")
		if !ok || err != nil || id.String() != p.id() {
			t.Fatalf("%v is the oldest: %v %v", id, ok, err)
		}
		if !s.Displace(t.Context(), id) || s.Displace(t.Context(), id) {
			t.Error("not displaced once")
		}
		p.closedWith(1008)
	}
	s.closed(ReasonUserLimit, uint64(len(peers)))
}

// TestHandshakeWaitsInVain: a newcomer whose time is over while it waits is not known
// any more, nor are its topics; an answer that comes later is nobody's.
func TestHandshakeWaitsInVain(t *testing.T) {
	f, s := knowingCluster(t, Config{HandshakeTimeout: time.Second, CloseTimeout: 5 * time.Minute})
	p := s.join("ada;topics=a")
	f.waits(t, 1)
	if r := p.response(); r.StatusCode != 408 {
		t.Errorf("after its time: %s", r.Status)
	}
	s.until("nobody is left", func(st Stats) bool { return st.Users == 0 && st.Topics == 0 })
	f.letKnow()
	p.Close()
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 })
}
