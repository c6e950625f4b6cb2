package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"wsd/dispatch"
)

// fakeCluster is a cluster of one, which says so of nothing before it is let.
type fakeCluster struct {
	s *Server

	mu      sync.Mutex
	open    map[string]bool
	waiting []func()
	known   bool
	told    []string
	full    bool

	elsewhere func(user string, done func(int)) bool // CountUser; it has the lock
	thinned   []string
}

func (f *fakeCluster) Begin(ctx context.Context, t Target, m Message) (Outcome, error) {
	return f.s.BeginHere(ctx, t, m)
}
func (f *fakeCluster) Post(t Target, m Message) error { return f.s.PostHere(t, m) }

func (f *fakeCluster) Tell(t Target, m Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, string(m.Data))
}

func (f *fakeCluster) Full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

func (f *fakeCluster) Opened(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[topic] = true
}

func (f *fakeCluster) Closed(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, topic)
}

func (f *fakeCluster) Reached(_ []string, done func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known {
		f.waiting = append(f.waiting, done)
	}
	return f.known
}

func (f *fakeCluster) CountUser(user string, done func(int)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.elsewhere != nil && f.elsewhere(user, done)
}

func (f *fakeCluster) ThinUser(user string, limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.thinned = append(f.thinned, fmt.Sprint(user, " ", limit))
}

// letKnow has all who wait hear that the others know.
func (f *fakeCluster) letKnow() {
	f.mu.Lock()
	list := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	for _, done := range list {
		done()
	}
}

func inFakeCluster(t *testing.T, cfg Config) (*fakeCluster, *site) {
	t.Helper()
	f := &fakeCluster{open: map[string]bool{}}
	s := start(t, cfg, func(s *site) {
		f.s = s.Server
		s.Join(f, 0xabcd)
	})
	return f, s
}

// waits waits until so many answers wait for the others to know.
func (f *fakeCluster) waits(t *testing.T, n int) {
	t.Helper()
	eventually(t, says("an answer waits"), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.waiting) == n
	})
}

// The answer to a subscribe waits until the cluster knows; what came before it has been
// answered, what comes behind it waits; and nothing of that ends with the client.
func TestSubscribeWaitsForCluster(t *testing.T) {
	f, s := inFakeCluster(t, Config{})
	c := s.dial()
	c.send(`{"actioncode":"heart_beat"}`)
	c.send(`{"actioncode":"subscribe","data":{"topics":["a"]}}`)
	c.send(`{"actioncode":"echo","data":"behind"}`)
	if got := c.recv(); !strings.Contains(got, "heart_beat") {
		t.Errorf("first came %s", got)
	}
	f.waits(t, 1)
	if n, err := s.Subscribers(t.Context(), "a"); n != 1 || err != nil {
		t.Errorf("there are %d subscribers before the answer, %v", n, err)
	}
	f.letKnow()
	if got := c.recv(); !strings.Contains(got, `["a"]`) {
		t.Errorf("then came %s", got)
	}
	if got := c.recv(); !strings.Contains(got, "behind") {
		t.Errorf("last came %s", got)
	}
	c.send(`{"actioncode":"subscribe","data":{"topics":["b"]}}`)
	f.waits(t, 1)
	c.reset()
	f.letKnow()
	s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.open) != 0 {
		t.Errorf("topics are open without subscribers: %v", f.open)
	}
}

// Ids carry the tag of the node, and are valid and different for all that.
// So does an answer that comes later, of a handler that subscribed its client to
// something; the next request has nothing to do with that.
func TestLaterWaitsForCluster(t *testing.T) {
	m := testMux()
	dispatch.Later(m, "join", func(ctx *dispatch.Context, in string, r dispatch.Reply[string]) error {
		if err := ctx.Client.Subscribe(in); err != nil {
			return err
		}
		return r.Answer("joined", nil)
	})
	f, s := inFakeCluster(t, Config{Mux: m})
	c, gone := s.dial(), s.dial()
	c.send(`{"actioncode":"join","data":"a"}`)
	c.send(`{"actioncode":"echo","data":"behind"}`)
	gone.send(`{"actioncode":"join","data":"b"}`)
	f.waits(t, 2)
	gone.reset()
	s.until("it is gone", func(st Stats) bool { s.publish(All(), "x"); return st.Clients.Open == 1 })
	f.letKnow()
	var got []string
	for len(got) < 2 {
		if text := c.recv(); text != "x" {
			got = append(got, text)
		}
	}
	if got[0] != good(`"joined"`, "join") || got[1] != good(`"behind"`, "echo") {
		t.Errorf("it got %q", got)
	}
}

func TestTag(t *testing.T) {
	var g ids
	g.setTag(0x1234)
	seen := map[uuid.UUID]bool{}
	for range 1000 {
		id := g.next()
		if TagOf(id) != 0x1234 || id.Version() != 4 || id.Variant() != uuid.RFC4122 || seen[id] {
			t.Fatalf("%v", id)
		}
		seen[id] = true
	}
}

// What a client says to others goes to the cluster, too, unless that has no room.
func TestTellCluster(t *testing.T) {
	f, s := inFakeCluster(t, Config{ClientFanout: true})
	c := s.dial()
	c.send(`{"actioncode":"echo","data":"x","is_broadcast":true}`)
	want := c.recv()
	f.mu.Lock()
	if len(f.told) != 1 || f.told[0] != want {
		t.Errorf("the cluster was told %q, and the client got %q", f.told, want)
	}
	f.full = true
	f.mu.Unlock()
	c.send(`{"actioncode":"echo","data":"x","is_broadcast":true}`)
	if got := c.recv(); !strings.Contains(got, `"code":10`) {
		t.Errorf("without room the answer is %s", got)
	}
}
