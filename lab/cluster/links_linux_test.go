package cluster

import (
	"slices"
	"testing"
	"time"

	"wsd/lab"
)

// both runs a test with the NATS servers inside, and with an external one.
func both(t *testing.T, test func(t *testing.T, s *site), args ...string) {
	for name, external := range map[string]bool{"embedded": false, "external": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, found(t, external, args...))
		})
	}
}

// other is what n2 is cut off from: n1, or the external NATS server.
func (s *site) other() *lab.Host {
	if s.external != nil {
		return s.external
	}
	return s.nodes[0].host
}

// missed waits until a publish at one node misses another.
func (s *site) missed(at, who int) {
	s.t.Helper()
	until(s.t, s.nodes[who].name+" is missed at "+s.nodes[at].name, func() bool {
		a, err := s.say(s.nodes[at], "topic=nobody", "", "x")
		return err == nil && !a.Complete && a.lacks(s.nodes[who].name, "")
	})
}

// everybody are the clients of all nodes.
func (s *site) everybody() (all []*client) {
	for _, n := range s.nodes {
		all = append(all, n.clients...)
	}
	return all
}

// A link is cut, for a moment that TCP survives and for longer. With the NATS servers
// inside, n1 and n2 do not reach each other and n3 reaches both; with an external one
// n2 reaches nobody.
func TestCut(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		n2 := s.nodes[1].host
		s.under(func() {
			for _, d := range []time.Duration{time.Second, faultTime()} {
				s.net.Cut(s.other(), n2)
				time.Sleep(d)
				if d > time.Second {
					s.missed(0, 1)
					s.missed(1, 0)
				}
				served(t, s.everybody()...)
				s.net.Heal(s.other(), n2)
				s.healed()
			}
		})
	})
}

// Packets vanish in one direction.
func TestOneWay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		n2 := s.nodes[1].host
		s.under(func() {
			for _, way := range [][2]*lab.Host{{s.other(), n2}, {n2, s.other()}} {
				s.net.CutOneWay(way[0], way[1])
				time.Sleep(faultTime())
				served(t, s.everybody()...)
				s.net.Heal(way[0], way[1])
				s.healed()
			}
		})
	})
}

// Every tenth packet between two hosts is lost, for all the time.
func TestLoss(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		s.under(func() {
			for _, n := range s.nodes {
				n.host.Link().Loss(5)
			}
			if s.external != nil {
				s.external.Link().Loss(5)
			}
			time.Sleep(faultTime())
			served(t, s.everybody()...)
			for _, n := range s.nodes {
				n.host.Link().Loss(0)
			}
			if s.external != nil {
				s.external.Link().Loss(0)
			}
		})
	})
}

// A host loses its link: its clients are cut off as its neighbours are, and nobody is
// closed when it is back. After much longer cuts the server has let clients go, and TCP
// would take as long again to find out that the link is there.
func TestHostAway(t *testing.T) {
	t.Parallel()
	s := found(t, false, "--idle-timeout=10m", "--user-timeout=10m")
	s.under(func() {
		s.nodes[1].host.Link().Cut()
		time.Sleep(lab.Form(5*time.Second, 15*time.Second))
		s.missed(0, 1)
		s.missed(2, 1)
		served(t, append(s.nodes[0].clients, s.nodes[2].clients...)...)
		s.nodes[1].host.Link().Heal()
	})
}

// A client that subscribes while its node is cut off is not reached by others, and no
// publish says so: it is complete only if the client has got it.
func TestSubscribedDuringCut(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		n2 := s.nodes[1].host
		s.net.Cut(s.other(), n2)
		s.missed(0, 1)
		c := connect(t, s.crowd, s.nodes[1].host.Addr(port))
		c.subscribe(t, "fresh")
		a, err := s.say(s.nodes[0], "topic=fresh", "", "during")
		if err != nil || a.Complete || !a.lacks("n2", "") {
			t.Errorf("a publish to a topic of a node that is cut off: %+v %v", a, err)
		}
		s.net.Heal(s.other(), n2)
		until(t, "a publish reaches it", func() bool {
			a, err := s.say(s.nodes[0], "topic=fresh", "", "after")
			if err == nil && a.Complete && a.Matched == 0 {
				t.Error("a publish is complete and has not reached the client")
				return true
			}
			return err == nil && a.Complete
		})
		until(t, "it has come", func() bool { return slices.Contains(c.others(), "after") })
		// The first one may have been on its way all the time. Its publisher was told.
		for i, text := range c.others() {
			if text != "after" && (i > 0 || text != "during") {
				t.Errorf("the client got %q", c.others())
			}
		}
	})
}
