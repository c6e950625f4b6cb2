package agents

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/cluster/embed"
)

// serveHere has an agent in this process, and returns its address and what ends its
// server.
func serveHere(t *testing.T, secret string, run func(ctx context.Context, from string, conn io.ReadWriteCloser)) (address string, stop func()) {
	t.Helper()
	server, err := embed.Start(embed.Config{Name: "agent", Clients: "127.0.0.1:0", Secret: secret, MaxPayload: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(server), nats.UserInfo(server.Login()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, nc, "v1", run) }()
	t.Cleanup(func() {
		cancel()
		<-ended // the server may be gone
		nc.Close()
		server.Stop()
	})
	for nc.NumSubscriptions() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return server.ClientsAddr(), server.Stop
}

func dial(t *testing.T, address, secret string) io.ReadWriteCloser {
	t.Helper()
	conn, err := Dial(t.Context(), address, Config{Version: "v1", From: "here", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// A stream carries any bytes, more than a message holds, and ends with what was
// written before it was closed.
func TestStream(t *testing.T) {
	t.Parallel()
	address, _ := serveHere(t, "secret", func(_ context.Context, from string, conn io.ReadWriteCloser) {
		if from != "here" {
			t.Errorf("from %q", from)
		}
		if _, err := io.Copy(conn, conn); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	for range 2 {
		conn := dial(t, address, "secret")
		sent := make([]byte, 5<<20)
		rng := rand.NewChaCha8([32]byte{1})
		rng.Read(sent)
		go func() {
			for rest := sent; len(rest) > 0; { // in pieces of any size
				n := min(1+rand.IntN(2*chunk), len(rest))
				if _, err := conn.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
		}()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%v, the same: %v", err, bytes.Equal(got, sent))
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if n, err := conn.Read(got); n != 0 || err == nil {
			t.Errorf("read %d bytes of a closed stream, %v", n, err)
		}
	}
}

// A stream whose connection is gone breaks, and does not just end.
func TestStreamBreaks(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	address, stop := serveHere(t, "", func(_ context.Context, _ string, conn io.ReadWriteCloser) { <-release })
	defer close(release)
	conn := dial(t, address, "")
	stop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("no error")
	}
	if _, err := Dial(t.Context(), address, Config{Version: "v1"}); err == nil || !strings.Contains(err.Error(), "no agent listens there") {
		t.Error(err)
	}
}

// Offers that cannot be taken are refused with the reason.
func TestRefused(t *testing.T) {
	t.Parallel()
	address, _ := serveHere(t, "secret", func(ctx context.Context, _ string, conn io.ReadWriteCloser) {
		io.Copy(io.Discard, conn)
		conn.Close()
	})
	if _, err := Dial(t.Context(), address, Config{Version: "v1", Secret: "another"}); !errors.Is(err, ErrSecret) {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), address, Config{Version: "v2", Secret: "secret"}); err == nil || !strings.Contains(err.Error(), "its version is v1, this one is v2") {
		t.Error(err)
	}
	first := dial(t, address, "secret")
	if _, err := Dial(t.Context(), address, Config{Version: "v1", Secret: "secret"}); err == nil || !strings.Contains(err.Error(), "busy with a run from here") {
		t.Error(err)
	}
	first.Close()
	for { // once it has noticed
		conn, err := Dial(t.Context(), address, Config{Version: "v1", Secret: "secret"})
		if err == nil {
			conn.Close()
			return
		}
		if !strings.Contains(err.Error(), "busy") {
			t.Fatal(err)
		}
	}
}
