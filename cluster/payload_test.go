package cluster

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"wsd/cluster/embed"
	"wsd/server"
)

// external is a NATS server that stands for one elsewhere.
func external(t *testing.T, address string, most int) *embed.Server {
	t.Helper()
	s, err := embed.Start(embed.Config{Name: "external", Clients: address, MaxPayload: most, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// TestSmallPayload: a NATS server that would carry no publish is an error at the start.
// One that takes the place of a better one ends nothing: clients are served on, and
// what fits is published.
func TestSmallPayload(t *testing.T) {
	t.Parallel()
	small := external(t, "127.0.0.1:0", 64<<10)
	_, err := tryNode(t, Config{Node: "n0", URL: "nats://" + small.ClientsAddr()}, server.Config{})
	var e *PayloadError
	if !errors.As(err, &e) || e.Most != 64<<10 || e.Least != overhead || !strings.Contains(err.Error(), "nats://"+small.ClientsAddr()) || !strings.Contains(err.Error(), "max_payload: 8MB") {
		t.Fatalf("at the start: %v", err)
	}
	good := external(t, "127.0.0.1:0", 1<<20)
	address := good.ClientsAddr()
	shop := []*member{startNode(t, Config{Node: "n1", URL: "nats://" + address}, server.Config{}), startNode(t, Config{Node: "n2", URL: "nats://" + address}, server.Config{})}
	settle(t, shop)
	c := dial(t, shop[1])
	good.Stop()
	eventually(t, "it is missed", func() bool { return !shop[0].connected() && !shop[1].connected() })
	external(t, address, 64<<10)
	settle(t, shop)
	if r := publishAt(t, shop[0], server.All(), "hello"); r.Matched != 1 || !r.Reach.Complete {
		t.Errorf("a small one: %+v %+v", r, r.Reach)
	}
	if got := c.await(2); got[1] != "hello" {
		t.Errorf("the client got %q", got)
	}
	_, err = shop[0].srv.Publish(t.Context(), server.All(), server.Message{Data: make([]byte, 40<<10)})
	if !errors.Is(err, server.ErrTooLarge) || !strings.Contains(err.Error(), "which leaves 32768") {
		t.Errorf("a larger one: %v", err)
	}
}
