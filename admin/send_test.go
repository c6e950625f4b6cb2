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
	if n := len(f.published()); status != 202 || body != "{\"accepted\":true}\n" || n != 1 {
		t.Errorf("%d %s, published %d", status, body, n)
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

// With no room for it, a publish does not begin, and the publisher is told so; one
// that has begun and takes too long is accepted; one that got lost has failed.
func TestPublishTimeout(t *testing.T) {
	f := &fake{hold: make(chan struct{}), lost: server.ErrStopped}
	a := newAPI(t.Context(), Config{Logger: slog.New(slog.DiscardHandler)}.withDefaults(), f)
	begun := a.begin(t.Context(), &order{to: server.All()}, server.Message{})
	if p, ok := begun.poll(); ok {
		t.Errorf("under way, its answer is %+v", p)
	}
	close(f.hold)
	if p, ok := begun.wait(t.Context()); !ok || p.status != 503 {
		t.Errorf("lost, its answer is %+v", p)
	}
	f.hold = make(chan struct{})
	outcome, _ := f.Begin(t.Context(), server.All(), server.Message{})
	if p, ok := (publishing{a, outcome, time.Now(), false}).wait(t.Context()); !ok || p.status != 202 {
		t.Errorf("out of time, its answer is %+v", p)
	}
	for err, want := range map[error]int{context.DeadlineExceeded: 503, server.ErrStopped: 503, server.ErrTooLarge: 413} {
		f.err = err
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if p, ok := a.begin(gone, &order{to: server.All(), noWait: true}, server.Message{}).poll(); !ok || p.status != want {
			t.Errorf("%v: it is answered by %+v", err, p)
		}
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
	if messages := f.published(); len(messages) != 1 {
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
