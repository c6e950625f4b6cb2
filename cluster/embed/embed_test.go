package embed

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := tryStart(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func tryStart(cfg Config) (*Server, error) {
	cfg.Cluster, cfg.MaxPayload, cfg.Logger = "shop", 1<<20, slog.New(slog.DiscardHandler)
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	return Start(cfg)
}

// inside is a connection from inside the process.
func inside(t *testing.T, s *Server) *nats.Conn {
	t.Helper()
	user, password := s.Login()
	c, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(user, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// passes says whether what one says comes to the other within a time.
func passes(t *testing.T, a, b *nats.Conn, within time.Duration) bool {
	t.Helper()
	sub, err := b.SubscribeSync("x")
	if err != nil || b.Flush() != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(within); time.Now().Before(end); {
		if err := a.Publish("x", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsg(20 * time.Millisecond); err == nil {
			return true
		}
	}
	return false
}

// Servers find each other, also those that know only a common third one; with another
// secret they do not, and say so.
func TestMesh(t *testing.T) {
	const secret = "0123456789abcdef"
	a := start(t, Config{Secret: secret})
	b, c := start(t, Config{Secret: secret, Peers: []string{a.Addr()}}), start(t, Config{Secret: secret, Peers: []string{a.Addr()}})
	if !passes(t, inside(t, b), inside(t, c), 30*time.Second) {
		t.Error("two that know a third do not hear each other")
	}
	d := start(t, Config{Secret: "another secret...", Peers: []string{a.Addr()}})
	if passes(t, inside(t, a), inside(t, d), time.Second) {
		t.Error("one with another secret hears the others")
	}
	if d.Refused() == nil || a.Refused() == nil {
		t.Errorf("nobody says that the secret is wrong: %v, %v", d.Refused(), a.Refused())
	}
}

// What is wrong with an address is an error that names it, never the end of the process.
func TestStartErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for field, cfg := range map[string]Config{"Listen": {Listen: l.Addr().String()}, "Peers": {Peers: []string{"nowhere"}}, "Clients": {Clients: l.Addr().String()}} {
		s, err := tryStart(cfg)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: the error is %v", field, err)
		}
		if s != nil {
			s.Stop()
		}
	}
}

// Programs without a server connect where they may, with the secret.
func TestClients(t *testing.T) {
	const secret = "0123456789abcdef"
	s := start(t, Config{Secret: secret, Clients: "127.0.0.1:0"})
	c, err := nats.Connect(s.ClientsAddr(), nats.UserInfo("wsd", secret))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !passes(t, c, inside(t, s), 30*time.Second) {
		t.Error("a neighbour is not heard")
	}
	if _, err := nats.Connect(s.ClientsAddr(), nats.UserInfo("wsd", "wrong")); err == nil {
		t.Error("one with another secret is let in")
	}
}
