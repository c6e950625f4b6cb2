package admin

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"wsd/server"
)

// live runs a real server, and returns it with its address.
func live(t *testing.T) (*server.Server, string) {
	t.Helper()
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Loops: 2, Logger: slog.New(slog.DiscardHandler), DrainTime: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Stop(ctx, false) // clients that do not answer are cut off
	})
	return s, s.Addrs()[0]
}

// join connects a client and has it subscribe.
func join(t *testing.T, address string, topics ...string) *wsClient {
	t.Helper()
	c, _, _, err := ws.Dial(t.Context(), "ws://"+address+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w := &wsClient{t: t, conn: c}
	if len(topics) > 0 {
		w.ask(fmt.Sprintf(`{"actioncode":"subscribe","data":{"topics":["%s"]}}`, strings.Join(topics, `","`)))
	}
	return w
}

func series(t *testing.T, base string) map[string]bool {
	t.Helper()
	status, _, body := do(t, request{url: base + "/metrics"})
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	all := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if line := lines.Text(); line != "" && line[0] != '#' {
			all[line[:strings.LastIndexByte(line, ' ')]] = true
		}
	}
	return all
}

// However many clients and topics there are, the series are the same.
func TestSeriesAreConstant(t *testing.T) {
	s, address := live(t)
	base := start(t, s, nil)
	before := series(t, base)
	for i := range 50 {
		c := join(t, address, fmt.Sprintf("topic.%d", i), "all")
		c.ask(`{"actioncode":"heart_beat"}`)
		c.ask(fmt.Sprintf(`{"actioncode":"unknown_%d"}`, i))
		c.ask(`not JSON`)
	}
	for i := range 20 {
		if _, err := s.Publish(t.Context(), server.Topic(fmt.Sprintf("topic.%d", i)), server.Message{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	after := series(t, base)
	for name := range after {
		if !before[name] {
			t.Errorf("%s came with clients", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d series before, %d after", len(before), len(after))
	}
	t.Logf("%d series", len(after))
}

func TestMetricsTellWhatHappened(t *testing.T) {
	s, address := live(t)
	base := start(t, s, func(c *Config) { c.Version = "v1.2.3" })
	c := join(t, address, "a", "b")
	c.ask(`{"actioncode":"nobody_knows"}`)
	do(t, request{method: "POST", url: base + "/v1/publish?topic=a", body: "x"})
	_, _, body := do(t, request{url: base + "/metrics"})
	for _, want := range []string{
		`wsd_build_info{goversion="` + goVersion + `",version="v1.2.3"} 1`,
		`wsd_ready 1`,
		`wsd_loops 2`,
		`wsd_loops_stale 0`,
		`wsd_clients{state="open"} 1`,
		`wsd_handshakes_total{outcome="opened"} 1`,
		`wsd_action_answers_total{action="subscribe",code="0"} 1`,
		`wsd_action_answers_total{action="(none)",code="5"} 1`,
		`wsd_publishes_total 1`,
		`wsd_publish_duration_seconds_count 1`,
		`wsd_publish_duration_seconds_bucket{le="+Inf"} 1`,
		`wsd_subscriptions 2`,
		`wsd_closes_total{reason="slow"} 0`,
		`wsd_dropped_messages_total{policy="close"} 0`,
		`process_open_fds `,
		`wsd_tcp_memory_bytes `,
		`wsd_memory_available_bytes `,
		`go_goroutines `,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	s, _ := live(t)
	a := newAPI(context.Background(), Config{}.withDefaults(), s)
	families, err := newRegistry(a).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A scrape says which part of it is old, for else it looks as if nothing went on.
func TestStaleLoopsAreTold(t *testing.T) {
	f := &fake{stats: server.Stats{Loops: 4, StaleLoops: 3}}
	_, _, body := do(t, request{url: start(t, f, nil) + "/metrics"})
	if !strings.Contains(body, "\nwsd_loops_stale 3\n") {
		t.Error("wsd_loops_stale 3 is missing")
	}
}

// An application's own codes are one series, whatever they are.
func TestOwnCodes(t *testing.T) {
	f := &fake{stats: server.Stats{Actions: map[string]map[int]uint64{"pay": {0: 5, 42: 1, 100: 2}}}}
	base := start(t, f, nil)
	_, _, body := do(t, request{url: base + "/metrics"})
	for _, want := range []string{`{action="pay",code="0"} 5`, `{action="pay",code="other"} 3`, `{action="pay",code="4"} 0`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestHistogramIsCumulative(t *testing.T) {
	f := &fake{}
	f.stats.PublishSeconds = server.Histogram{Bounds: []float64{0, 1, 2}, Counts: []uint64{1, 2, 3, 4}, Count: 10, Sum: 30}
	_, _, body := do(t, request{url: start(t, f, nil) + "/metrics"})
	for _, want := range []string{`bucket{le="1"} 3`, `bucket{le="2"} 6`, `bucket{le="+Inf"} 10`, `sum 30`, `count 10`} {
		if !strings.Contains(body, "wsd_publish_duration_seconds_"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// BenchmarkScrape is what a scrape costs the server, its HTTP part left out.
func BenchmarkScrape(b *testing.B) {
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler), DrainTime: -1})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background(), false) }()
	r := newRegistry(newAPI(b.Context(), Config{}.withDefaults(), s))
	for b.Loop() {
		if _, err := r.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

// wsClient is a WebSocket client that asks and waits for the answer.
type wsClient struct {
	t    *testing.T
	conn interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
		SetDeadline(time.Time) error
	}
}

func (c *wsClient) ask(text string) string {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

func (c *wsClient) read() string {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	text, err := wsutil.ReadServerText(c.conn)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// Many scrapes at once are all answered.
func TestScrapesAtOnce(t *testing.T) {
	base := start(t, &fake{}, nil)
	var scraping sync.WaitGroup
	for range 40 {
		scraping.Go(func() {
			if status, _, body := do(t, request{url: base + "/metrics"}); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	scraping.Wait()
}
