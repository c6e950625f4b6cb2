package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"wsd/server"
)

// fake is a Backend that notes what it was asked to do.
type fake struct {
	ready   error
	stats   server.Stats
	result  server.Result
	err     error
	lost    error         // what a publish that has begun ends with
	hold    chan struct{} // publishes end when it is closed
	clients []server.ClientInfo

	revocations []server.Revocation

	mu       sync.Mutex
	targets  []server.Target
	messages []server.Message
	closes   []string
}

func (f *fake) Ready() error        { return f.ready }
func (f *fake) Stats() server.Stats { return f.stats }
func (f *fake) Limits() server.Limits {
	return server.Limits{Descriptors: 1 << 30, Reserve: 1024, MaxClients: 1000}
}
func (f *fake) Addrs() []string { return []string{"127.0.0.1:8066", "unix:/run/wsd.sock"} }

func (f *fake) Begin(_ context.Context, to server.Target, m server.Message) (server.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	if !m.Binary && !utf8.Valid(m.Data) { // as the server does
		return nil, server.ErrNotText
	}
	f.targets, f.messages = append(f.targets, to), append(f.messages, m)
	return fakeOutcome{f.hold, f.result, f.lost}, nil
}

// fakeOutcome is known when done is closed, or at once if that is nil.
type fakeOutcome struct {
	done   chan struct{}
	result server.Result
	err    error
}

func (o fakeOutcome) Wait(ctx context.Context) (server.Result, error) {
	if o.done != nil {
		select {
		case <-o.done:
		case <-ctx.Done():
			return server.Result{}, ctx.Err()
		}
	}
	return o.result, o.err
}

func (o fakeOutcome) Poll() (server.Result, bool, error) {
	if o.done != nil {
		select {
		case <-o.done:
		default:
			return server.Result{}, false, nil
		}
	}
	return o.result, true, o.err
}

// published is what came so far.
func (f *fake) published() []server.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.messages)
}

func (f *fake) UserClients(_ context.Context, user string, limit int) (list []server.ClientInfo, err error) {
	for _, c := range f.clients {
		if c.User == user && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, f.err
}

func (f *fake) CloseUser(_ context.Context, user string, code int, reason string) (int, error) {
	f.closes = append(f.closes, fmt.Sprintf("user %s %d %s", user, code, reason))
	return len(f.clients), f.err
}

func (f *fake) Revoke(_ context.Context, r server.Revocation) (int, error) {
	if f.err == nil {
		f.revocations = append(f.revocations, r)
	}
	return 2, f.err
}

func (f *fake) Revocations() []server.Revocation { return f.revocations }

func (f *fake) Unrevoke(user, token string) bool {
	before := len(f.revocations)
	f.revocations = slices.DeleteFunc(f.revocations, func(r server.Revocation) bool { return r.User == user && r.Token == token })
	return len(f.revocations) < before
}

func (f *fake) Client(ctx context.Context, id uuid.UUID) (server.ClientInfo, bool) {
	for _, c := range f.clients {
		if c.ID == id {
			return c, true
		}
	}
	return server.ClientInfo{}, false
}

func (f *fake) Clients(ctx context.Context, cursor string, limit int) ([]server.ClientInfo, string, error) {
	from := 0
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "from-%d", &from); err != nil || from > len(f.clients) {
			return nil, "", server.ErrCursor
		}
	}
	limit = min(limit, 60) // as where a loop ends
	if to := from + limit; to < len(f.clients) {
		return f.clients[from:to], fmt.Sprintf("from-%d", to), f.err
	}
	return f.clients[from:], "", f.err
}

func (f *fake) CloseClient(ctx context.Context, id uuid.UUID, code int, reason string) bool {
	_, found := f.Client(ctx, id)
	if found {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.closes = append(f.closes, fmt.Sprintf("%s %d %s", id, code, reason))
	}
	return found
}

func (f *fake) CloseTopic(_ context.Context, topic string, code int, reason string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closes = append(f.closes, fmt.Sprintf("topic %s %d %s", topic, code, reason))
	return 7, f.err
}

func (f *fake) Subscribers(context.Context, string) (int, error) { return 7, f.err }

const testToken = "open-sesame-0123456789"

// start serves a fake on a free port until the test ends.
func start(t *testing.T, backend Backend, change func(*Config)) string {
	t.Helper()
	cfg := Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	return "http://" + sideOf(t, cfg, backend).Addr()
}

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func withToken(t *testing.T) func(*Config) {
	return func(c *Config) { c.TokenFile = tokenFile(t, testToken+"\n") }
}

// request is one HTTP request of a test.
type request struct {
	method, url, body string
	host              string
	header            map[string]string
}

// do sends it and returns status, header and body. Errors have to be problems
// that name their status.
func do(t *testing.T, q request) (int, http.Header, string) {
	t.Helper()
	if q.method == "" {
		q.method = "GET"
	}
	r, err := http.NewRequest(q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range q.header {
		r.Header.Set(key, value)
	}
	if q.host != "" {
		r.Host = q.host
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode >= 400 && q.method != "HEAD" {
		var p struct {
			Title, Detail string
			Status        int
		}
		if err := json.Unmarshal(body, &p); err != nil || p.Status != answer.StatusCode || p.Detail == "" ||
			answer.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d is no problem: %v %s", q.method, q.url, answer.StatusCode, answer.Header, body)
		}
	}
	return answer.StatusCode, answer.Header, string(body)
}
