package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/uuid"

	"wsd/cluster/embed"
	"wsd/server"
)

// member is a node with its server, in the process of the test.
type member struct {
	*Node
	srv *server.Server
}

// embedOn is a NATS server inside, for tests.
func embedOn(listen string, peers ...string) func([]string) (Embedded, error) {
	return func(known []string) (Embedded, error) {
		s, err := embed.Start(embed.Config{Cluster: "shop", Listen: listen, Peers: peers, Known: known, MaxPayload: 8 << 20, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// logger is what nodes of tests log to; testing -v shows it.
func logger(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return slog.New(slog.DiscardHandler)
}

// startNode starts a server and its node.
func startNode(t testing.TB, cfg Config, scfg server.Config) *member {
	t.Helper()
	m, err := tryNode(t, cfg, scfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryNode(t testing.TB, cfg Config, scfg server.Config) (*member, error) {
	t.Helper()
	scfg.Listen, scfg.Logger, scfg.Loops, scfg.ClientFanout, scfg.DrainTime = []string{"127.0.0.1:0"}, slog.New(slog.DiscardHandler), 2, true, -1
	s, err := server.New(scfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cluster, cfg.Logger = "shop", logger(t)
	cfg.SubscribeWait = 10 * time.Second // the machine may be busy
	n, err := New(cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{n, s}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Stop(ctx, false)
		n.Close()
	})
	if err := n.Start(t.Context()); err != nil {
		return m, err
	}
	return m, s.Start()
}

// startShop starts nodes n1 to nk, of which the first is the others' peer.
func startShop(t testing.TB, k int) []*member {
	t.Helper()
	first := startNode(t, Config{Node: "n1", Embed: embedOn("127.0.0.1:0")}, server.Config{})
	list := []*member{first}
	for i := 2; i <= k; i++ {
		list = append(list, startNode(t, Config{Node: fmt.Sprintf("n%d", i), Embed: embedOn("127.0.0.1:0", first.link.embed.Addr())}, server.Config{}))
	}
	settle(t, list)
	return list
}

// settle waits until all nodes know all others.
func settle(t testing.TB, list []*member) {
	t.Helper()
	eventually(t, "all nodes know each other", func() bool {
		for _, m := range list {
			if known, reach := m.Nodes(t.Context()); len(known) != len(list) || !reach.Complete {
				return false
			}
		}
		return true
	})
}

// eventually waits until ok, for as long as a busy machine may take.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// wsClient is a client that keeps all it gets.
type wsClient struct {
	t    testing.TB
	conn net.Conn
	id   uuid.UUID

	mu   sync.Mutex
	got  []string
	more chan struct{}
}

func dial(t testing.TB, m *member, topics ...string) *wsClient {
	t.Helper()
	conn, _, _, err := ws.Dial(t.Context(), "ws://"+m.srv.Addrs()[0]+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	c := &wsClient{t: t, conn: conn, more: make(chan struct{}, 1)}
	t.Cleanup(func() { _ = conn.Close() })
	go c.read()
	var self struct {
		Data struct {
			ID uuid.UUID `json:"client_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(c.ask(`{"actioncode":"whoami"}`)), &self); err != nil {
		t.Fatal(err)
	}
	c.id = self.Data.ID
	if len(topics) > 0 {
		c.subscribe(topics...)
	}
	return c
}

func (c *wsClient) read() {
	for {
		text, _, err := wsutil.ReadServerData(c.conn)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.got = append(c.got, string(text))
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

// ask sends a request and takes the next message for its answer.
func (c *wsClient) ask(text string) string {
	c.t.Helper()
	before := len(c.messages())
	c.send(text)
	return c.await(before + 1)[before]
}

func (c *wsClient) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil && err != io.EOF {
		c.t.Fatal(err)
	}
}

func (c *wsClient) subscribe(topics ...string) {
	c.t.Helper()
	list, _ := json.Marshal(topics)
	c.ask(`{"actioncode":"subscribe","data":{"topics":` + string(list) + `}}`)
}

func (c *wsClient) messages() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// await waits for so many messages in all.
func (c *wsClient) await(n int) []string {
	c.t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		if got := c.messages(); len(got) >= n {
			return got
		}
		select {
		case <-c.more:
		case <-late.C:
			got := c.messages()
			c.t.Fatalf("%d messages of %d have come: %.200q", len(got), n, got)
		}
	}
}

// publish publishes at m and returns what became of it.
func publishAt(t testing.TB, m *member, to server.Target, text string) server.Result {
	t.Helper()
	r, err := m.srv.Publish(t.Context(), to, server.Message{Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
