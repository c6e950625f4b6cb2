package embed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
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
	for end := time.Now().Add(30 * time.Second); d.Refused() == nil || a.Refused() == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("one of them does not say that the secret is wrong: %v, %v", d.Refused(), a.Refused())
		}
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

func mutual(c tls.Certificate, p *x509.CertPool) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c}, RootCAs: p, ClientCAs: p, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
}

// authority signs certificates for 127.0.0.1 and shop.invalid.
func authority(t *testing.T) (issue func() tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return func() tls.Certificate {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"shop.invalid"},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		raw, err := x509.CreateCertificate(rand.Reader, c, parsed, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: own}
	}, pool
}

// With certificates, nodes talk to those whose certificate the authority has signed, and
// to nobody else.
func TestMutualTLS(t *testing.T) {
	issue, pool := authority(t)
	other, otherPool := authority(t)
	a := start(t, Config{TLS: mutual(issue(), pool)})
	b := start(t, Config{TLS: mutual(issue(), pool), Peers: []string{a.Addr()}})
	if !passes(t, inside(t, a), inside(t, b), 30*time.Second) {
		t.Error("two of one authority do not hear each other")
	}
	c := start(t, Config{TLS: mutual(other(), otherPool), Peers: []string{a.Addr()}})
	d := start(t, Config{Peers: []string{a.Addr()}}) // without TLS
	for _, s := range []*Server{c, d} {
		if passes(t, inside(t, a), inside(t, s), time.Second) {
			t.Error("one of another authority, or without a certificate, is heard")
		}
	}
	if a.Refused() == nil {
		t.Error("nobody says why")
	}
}
