package cluster

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"wsd/lab"
	"wsd/lab/checker"
)

// A node that stands still is missed, holds nobody up, and closes no client when it
// goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		s.under(func() {
			s.nodes[1].signal(t, syscall.SIGSTOP)
			time.Sleep(faultTime())
			s.missed(0, 1)
			served(t, append(s.nodes[0].clients, s.nodes[2].clients...)...)
			s.nodes[1].signal(t, syscall.SIGCONT)
		})
	})
}

// lose says that a node's clients have got what they will get.
func (s *site) lose(n *node) {
	for _, l := range n.logs {
		l.Ends()
	}
	n.clients, n.logs = nil, nil
}

// A node is killed in mid-fan-out, and started again by its name.
func TestKilled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		s.under(func() {
			for round := range lab.Form(1, 10) {
				s.rush(round)
				s.killAndReplace(s.nodes[2])
				time.Sleep(lab.Form(200*time.Millisecond, 2*time.Second))
			}
		})
	})
}

// rush has publishers that do not pause begin at the other nodes, so that n3 is in the
// midst of a fan-out whenever it is killed.
func (s *site) rush(round int) {
	for i, n := range s.nodes[:2] {
		for k := range 2 {
			s.Publish(checker.Publisher{Name: fmt.Sprintf("rush-%d-%d-%s", round, k, n.name), Node: i, Query: "all", Count: 200})
		}
	}
	time.Sleep(50 * time.Millisecond)
}

// killAndReplace kills a node, and starts it again when the others miss it.
func (s *site) killAndReplace(victim *node) {
	s.t.Helper()
	s.lose(victim)
	victim.kill(s.t)
	i := slices.Index(s.nodes, victim)
	s.missed((i+1)%len(s.nodes), i)
	served(s.t, s.everybody()...)
	s.start(victim)
	s.healed()
	s.fill(victim)
}

// A host is gone, with all that it had; one with another address takes its place.
func TestHostRemoved(t *testing.T) {
	t.Parallel()
	s := found(t, false)
	s.under(func() {
		victim := s.nodes[2]
		s.lose(victim)
		victim.host.Remove()
		_ = victim.cmd.Wait()
		s.missed(0, 2)
		time.Sleep(faultTime())
		served(t, s.everybody()...)
		victim.host = s.net.Host("n3")
		s.start(victim)
		s.healed()
		s.fill(victim)
	})
}
