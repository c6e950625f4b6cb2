package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// service is a name whose addresses change, as that of a headless service.
type service struct {
	mu   sync.Mutex
	list []string
}

func (s *service) set(list ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
}

func (s *service) lookup(_ context.Context, host string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if host != "shop.invalid" || len(s.list) == 0 {
		return nil, errors.New("no such host")
	}
	return slices.Clone(s.list), nil
}

// routes waits until a server is connected to so many others.
func routes(t *testing.T, s *Server, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		list := routeIDs(t, s)
		if len(list) == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is connected to %v, want %d", s.Addr(), list, n)
		}
	}
}

// TestNames: a name stands for all its addresses, also those that it gets later, but
// not for those that it does not have any more. The server alone would go on with the
// first that answers. With certificates, they are those of the name.
func TestNames(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secured), func(t *testing.T) { testNames(t, secured) })
	}
}

func testNames(t *testing.T, secured bool) {
	issue, pool := authority(t)
	free, err := net.Listen("tcp", "127.0.9.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	name := new(service)
	node := func(ip string) *Server {
		cfg := Config{Listen: net.JoinHostPort(ip, port), Peers: []string{"shop.invalid:" + port}, Secret: "0123456789abcdef",
			lookup: name.lookup, lookupEvery: 20 * time.Millisecond}
		if secured {
			cfg.TLS = mutual(issue(), pool)
		}
		return start(t, cfg)
	}
	a, b := node("127.0.9.1"), node("127.0.9.2") // the name is not there yet
	name.set("127.0.9.1", "127.0.9.2")
	routes(t, a, 1)
	routes(t, b, 1)
	ca, cb := inside(t, a), inside(t, b)
	if !passes(t, ca, cb, 30*time.Second) {
		t.Error("two of a name do not hear each other")
	}
	c := node("127.0.9.3")
	name.set("127.0.9.3", "127.0.9.1", "127.0.9.4", "127.0.9.2")
	for _, s := range []*Server{a, b, c} {
		routes(t, s, 2)
	}
	name.set("127.0.9.3", "127.0.9.1", "127.0.9.2")
	for end := time.Now().Add(30 * time.Second); tries(t, c, "127.0.9.4:"+port); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("an address that is gone is tried for ever")
		}
	}
	name.set()                         // the name server is away
	time.Sleep(100 * time.Millisecond) // several lookups
	for _, s := range []*Server{a, b, c} {
		routes(t, s, 2)
	}
	c.Stop()
	routes(t, a, 1)
	node("127.0.9.3")
	name.set("127.0.9.3", "127.0.9.1", "127.0.9.2")
	routes(t, a, 2)
	if !passes(t, ca, cb, 30*time.Second) || ca.Stats().Reconnects+cb.Stats().Reconnects > 0 {
		t.Errorf("that has cost connections inside the processes: %d and %d", ca.Stats().Reconnects, cb.Stats().Reconnects)
	}
}

// TestAdvertise: a server is found by hearsay where it listens, wherever its own
// connections come from.
func TestAdvertise(t *testing.T) {
	a := start(t, Config{Listen: "127.0.9.1:0"})
	for range 3 {
		start(t, Config{Listen: "127.0.9.2:0", Peers: []string{a.Addr()}})
	}
	b := start(t, Config{Listen: "127.0.9.3:0", Peers: []string{a.Addr()}})
	routes(t, b, 4)
}

// routeIDs are the servers that s is connected to.
func routeIDs(t *testing.T, s *Server) (list []string) {
	t.Helper()
	all, err := s.nats.Routez(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all.Routes {
		list = append(list, r.RemoteID)
	}
	slices.Sort(list)
	return list
}

// tries says whether an address is among a server's routes.
func tries(t *testing.T, s *Server, address string) bool {
	t.Helper()
	v, err := s.nats.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(v.Cluster.URLs, address)
}
