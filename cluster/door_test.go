package cluster

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wsd/admin"
	"wsd/cluster/embed"
	"wsd/server"
)

// TestDoor: what is published over NATS reaches all, and is answered as over HTTP.
func TestDoor(t *testing.T) {
	s, err := embed.Start(embed.Config{Cluster: "nats", Listen: "127.0.0.1:0", Clients: "127.0.0.1:0", MaxPayload: 8 << 20, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	start := func(name string) *member {
		cfg := Config{Node: name, URL: s.ClientsAddr()}
		var p *admin.Publisher
		cfg.Publish = func(ctx context.Context, header map[string][]string, data []byte, wait bool) func(context.Context) (int, []byte) {
			return p.Begin(ctx, header, data, wait).Wait
		}
		m := startNode(t, cfg, server.Config{})
		p = admin.NewPublisher(admin.Config{MaxPublish: 1000, Cluster: m.Node, Logger: logger(t)}, m.srv)
		return m
	}
	a, b := start("n1"), start("n2")
	settle(t, []*member{a, b})
	x, y := dial(t, a, "news", "a/b c"), dial(t, b)
	conn, err := nats.Connect(s.ClientsAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct {
		subject string
		header  nats.Header
		body    string
		status  string
		matched int
	}{
		{"publish", nats.Header{"Wsd-All": {""}}, "one", "200", 2},
		{"publish", nats.Header{"Wsd-Topic": {"news", "weather"}}, "two", "200", 1},
		{"publish", nats.Header{"Wsd-Client": {y.id.String()}, "Wsd-Deadline": {"5s"}}, "three", "200", 1},
		{"publish", nats.Header{"Wsd-All": {""}, "Wsd-Key": {"k"}}, "four", "200", 2},
		{"publish", nats.Header{"Wsd-All": {""}, "Wsd-Key": {"k"}}, "four", "200", 2},
		{"publish", nats.Header{"Wsd-All": {""}, "Wsd-Key": {"k"}}, "other", "422", 0},
		{"topic.news", nil, "five", "200", 1},
		{"topic.a/b%20c", nil, "six", "200", 1},
		{"topic.a%2", nil, "x", "400", 0},
		{"publish", nil, "x", "400", 0},
		{"publish", nats.Header{"Wsd-All": {""}, "Wsd-Topik": {"x"}}, "x", "400", 0},
		{"publish", nats.Header{"Wsd-All": {""}}, strings.Repeat("x", 1001), "413", 0},
	} {
		m := nats.NewMsg("wsd.shop." + c.subject)
		m.Header, m.Data = c.header, []byte(c.body)
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		r, err := conn.RequestMsg(m, 30*time.Second)
		if err != nil {
			t.Fatalf("%s %v: %v", c.subject, c.header, err)
		}
		var o struct {
			Matched  int
			Complete bool
			Title    string
		}
		if err := json.Unmarshal(r.Data, &o); err != nil || r.Header.Get("Wsd-Status") != c.status || o.Matched != c.matched || (c.status == "200") != o.Complete || (c.status == "200") != (o.Title == "") {
			t.Errorf("%s %v: %s %s", c.subject, c.header, r.Header.Get("Wsd-Status"), r.Data)
		}
	}
	if err := conn.Publish("wsd.shop.topic.news", []byte("seven")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(x.await(8)[2:], " "); got != "one two four five six seven" {
		t.Errorf("one got %q", got)
	}
	if got := strings.Join(y.await(4)[1:], " "); got != "one three four" {
		t.Errorf("the other got %q", got)
	}
	if err := conn.Publish("wsd.shop.publish", []byte("to nobody")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was counted", func() bool { return a.count.refused.Load()+b.count.refused.Load() == 1 })
}
