package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"wsd/server"
)

func TestPublishAnswersTimeToLastClient(t *testing.T) {
	base := start(t, &fake{result: server.Result{Matched: 2, Sent: 2, LastClient: 1500 * time.Microsecond}}, nil)
	_, _, body := do(t, request{method: "POST", url: base + "/v1/publish?all", body: "x"})
	if want := `{"matched":2,"sent":2,"queued":0,"dropped":0,"expired":0,"last_client_seconds":0.0015}` + "\n"; body != want {
		t.Errorf("got %s want %s", body, want)
	}
}

func TestPublishOptions(t *testing.T) {
	f := &fake{}
	base := start(t, f, nil)
	before := time.Now()
	do(t, request{method: "POST", url: base + "/v1/publish?all&coalesce=price&deadline=2s", body: "x"})
	m := f.messages[0]
	if m.Coalesce != "price" || m.Deadline.Before(before.Add(2*time.Second)) || m.Deadline.After(time.Now().Add(2*time.Second)) {
		t.Errorf("published %+v", m)
	}
	do(t, request{method: "POST", url: base + "/v1/publish?all", body: "x"})
	if m := f.messages[1]; m.Coalesce != "" || !m.Deadline.IsZero() {
		t.Errorf("published %+v", m)
	}
}

func TestPublishWithoutWaiting(t *testing.T) {
	f := &fake{hold: make(chan struct{})} // would hold up whoever waits
	defer close(f.hold)
	base := start(t, f, nil)
	status, _, body := do(t, request{method: "POST", url: base + "/v1/publish?all&wait=false", body: "x"})
	if status != 202 || body != "{\"accepted\":true}\n" || f.posted != 1 {
		t.Errorf("%d %s, posted %d", status, body, f.posted)
	}
}

// A publish that is given up is on its way all the same: that is no failure.
func TestPublishGivenUp(t *testing.T) {
	f := &fake{hold: make(chan struct{})}
	a := newAPI(context.Background(), Config{Logger: slog.New(slog.DiscardHandler)}.withDefaults(), f)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p := a.send(ctx, &order{to: server.All()}, server.Message{}); p.status != 202 {
		t.Errorf("%+v", p)
	}
}

// Publishes that nobody waits for are bounded in number and bytes.
func TestAhead(t *testing.T) {
	var h ahead
	var st server.Stats
	asked := 0
	stats := func() server.Stats { asked++; return st }
	for i := range aheadPublishes {
		if !h.take(100, stats) {
			t.Fatalf("number %d was held back", i)
		}
	}
	if asked != 1 {
		t.Errorf("the server was asked %d times", asked)
	}
	st.Publishes = aheadPublishes
	if h.take(100, stats) {
		t.Error("one too many")
	}
	st.PublishSeconds.Count = 1
	one := h.take(100, stats)
	st.Publishes++
	if !one || h.take(100, stats) {
		t.Error("one has arrived, so one may go")
	}
	// All have arrived: bytes are what is bounded now.
	st.PublishSeconds.Count = st.Publishes
	h.left = 0
	took := 0
	for h.take(1<<20, stats) {
		took++
		st.Publishes++
	}
	if took != aheadBytes>>20 {
		t.Errorf("%d MiB went ahead, want %d", took, aheadBytes>>20)
	}
	if h.take(aheadBytes+1, stats) {
		t.Error("a message larger than all that may wait went ahead")
	}
	st.PublishSeconds.Count = st.Publishes
	if !h.take(1, stats) {
		t.Error("with nothing on its way one may go")
	}
}

// Beyond the bound a publish is waited for, and still answered by 202.
func TestPublishHeldBack(t *testing.T) {
	f := &fake{stats: server.Stats{Publishes: aheadPublishes}}
	base := start(t, f, nil)
	status, _, _ := do(t, request{method: "POST", url: base + "/v1/publish?all&wait=false", body: "x"})
	if messages, posted := f.published(); status != 202 || len(messages) != 1 || posted != 0 {
		t.Errorf("%d, %d published, %d of them posted", status, len(messages), posted)
	}
}

func TestKeyedPublish(t *testing.T) {
	f := &fake{result: server.Result{Matched: 3}}
	base := start(t, f, nil)
	post := func(path, key, body string) (int, string, string) {
		status, header, text := do(t, request{method: "POST", url: base + path, body: body, header: map[string]string{"Idempotency-Key": key}})
		return status, header.Get("Idempotency-Replayed"), text
	}
	_, replayed, first := post("/v1/publish?all", "a", "x")
	if replayed != "" {
		t.Error("the first was replayed")
	}
	f.result.Matched = 4
	if status, replayed, second := post("/v1/publish?all", "a", "x"); status != 200 || replayed != "true" || second != first {
		t.Errorf("%d %q %s, want %s again", status, replayed, second, first)
	}
	for _, c := range []struct{ path, body string }{{"/v1/publish?all", "y"}, {"/v1/publish?topic=a", "x"}} {
		if status, _, body := post(c.path, "a", c.body); status != 422 {
			t.Errorf("another request with the same key: %d %s", status, body)
		}
	}
	for _, key := range []string{" ", "é", strings.Repeat("k", maxKey+1)} {
		if status, _, body := post("/v1/publish?all", key, "x"); status != 400 {
			t.Errorf("key %q: %d %s", key, status, body)
		}
	}
	if messages, _ := f.published(); len(messages) != 1 {
		t.Errorf("published %d times", len(messages))
	}
}

func TestKeysTurnedOff(t *testing.T) {
	base := start(t, &fake{}, func(c *Config) { c.IdempotencyKeys = -1 })
	status, _, _ := do(t, request{method: "POST", url: base + "/v1/publish?all", header: map[string]string{"Idempotency-Key": "a"}})
	if status != 501 {
		t.Errorf("a key that is not honoured must not be taken: %d", status)
	}
}

// The answer's words are the contract's.
func TestOutcomeNames(t *testing.T) {
	text, _ := json.Marshal(outcome{})
	for _, name := range []string{"matched", "sent", "queued", "dropped", "expired", "last_client_seconds"} {
		if !strings.Contains(string(text), `"`+name+`":`) {
			t.Errorf("%s has no %s", text, name)
		}
	}
}
