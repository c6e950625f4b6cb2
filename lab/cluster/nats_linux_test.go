package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsd/lab"
	"wsd/lab/checker"
)

// NATS is killed, away, and back; then it stands still.
func TestNATS(t *testing.T) {
	t.Parallel()
	t.Run("restarted", func(t *testing.T) {
		t.Parallel()
		s := found(t, true)
		s.under(func() {
			_ = s.nats.Process.Kill()
			_ = s.nats.Wait()
			s.missed(0, 1)
			time.Sleep(faultTime())
			served(t, s.everybody()...)
			if _, body, err := s.ask(s.nodes[0], "GET", "/readyz", "", ""); err != nil || !strings.Contains(string(body), `"cluster":"partitioned"`) {
				t.Errorf("ready: %s %v", body, err)
			}
			s.startNATS()
		})
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		s := found(t, true)
		s.under(func() {
			if err := s.nats.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(faultTime())
			s.missed(0, 1)
			served(t, s.everybody()...)
			if err := s.nats.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// Two clusters on one NATS, with nodes of the same names, do not hear of each other.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	a := found(t, true)
	b := &site{t: t, net: a.net, dir: t.TempDir(), cluster: "stall", crowd: a.crowd, press: a.press, external: a.external, http: a.http}
	b.writeSecrets()
	b.populate()
	a.publishers()
	b.publishers()
	time.Sleep(lab.Form(2*time.Second, 20*time.Second))
	a.verdict()
	b.verdict()
}

// What NATS does not carry is refused, said so, and reaches nobody; what it just
// carries reaches all.
func TestMaxPayload(t *testing.T) {
	t.Parallel()
	s := build(t, true)
	s.populate("--max-publish=4MiB")
	size := 1 << 20 // nats-server's default
	for _, n := range s.nodes {
		status, body, err := s.ask(n, "POST", "/v1/publish?all", "", strings.Repeat("x", size))
		if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "max_payload") {
			t.Errorf("a publish of %d bytes: %d %s %v", size, status, body, err)
		}
		text := n.name + strings.Repeat("x", size*3/4-100)
		until(t, "a large publish is complete", func() bool { // a busy machine may need more than one try
			a, err := s.say(n, "all", "large at "+n.name, text)
			return err == nil && a.Complete && a.Matched == len(s.everybody())
		})
	}
	for _, c := range s.everybody() {
		until(t, "the large ones have come", func() bool { return len(c.others()) >= len(s.nodes) })
		got := c.others()
		for _, text := range got {
			if len(text) >= size {
				t.Errorf("a client got %d bytes", len(text))
			}
		}
		if len(got) > len(s.nodes) {
			t.Errorf("a client got %d large messages of %d", len(got), len(s.nodes))
		}
	}
	s.under(func() {})
}

// Publishers that go as soon as their request is out are told nothing, and their
// messages arrive once at most; repeated, once.
func TestPublisherDies(t *testing.T) {
	t.Parallel()
	s := found(t, false)
	s.Checker = checker.New(len(s.nodes), s.dieAtTimes)
	for _, n := range s.nodes {
		for _, c := range n.clients {
			c.forget()
		}
		n.clients, n.logs = nil, nil
		s.fill(n)
	}
	s.under(func() { time.Sleep(lab.Form(time.Second, 20*time.Second)) })
	if s.Tally().Unanswered == 0 {
		t.Error("no publisher died")
	}
}

var errDied = errors.New("the publisher died")

// dead says whether a publisher with that key has died before.
func (s *site) dead(key string) bool {
	_, before := s.died.LoadOrStore(key, true)
	return before
}

// dieAtTimes publishes; messages with a key are sent at first by one that dies, but for some.
func (s *site) dieAtTimes(at int, query, key, text string) (checker.Answer, error) {
	if key == "" || len(text)%3 == 0 || s.dead(key) {
		return s.publish(at, query, key, text)
	}
	conn, err := s.press.Dial("tcp", s.nodes[at].host.Addr(admin))
	if err != nil {
		return checker.Answer{}, err
	}
	defer conn.Close()
	if c, ok := conn.(interface{ SetLinger(int) error }); ok && len(text)%2 == 0 {
		_ = c.SetLinger(0) // a reset
	}
	_, err = fmt.Fprintf(conn, "POST /v1/publish?%s HTTP/1.1\r\nHost: wsd\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
		query, token, key, len(text), text)
	if err == nil {
		err = errDied
	}
	return checker.Answer{}, err
}
