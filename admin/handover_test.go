package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// side is an admin server at work, and whoever answers behind it.
func side(t *testing.T, cfg Config) *Server {
	t.Helper()
	return sideOf(t, cfg, &fake{})
}

func sideOf(t *testing.T, cfg Config, backend Backend) *Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := New(cfg, backend)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func status(c *http.Client, url string) string {
	r, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Status
}

// Requests wait while held, and go on when released, in number and order as if
// nothing had been.
func TestHoldAndRelease(t *testing.T) {
	s := side(t, Config{})
	url := "http://" + s.Addr() + "/readyz"
	if got := status(http.DefaultClient, url); got != "200 OK" {
		t.Fatal(got)
	}
	for range 3 {
		if err := s.Hold(t.Context()); err != nil {
			t.Fatal(err)
		}
		answers := make(chan string, 2)
		for range 2 { // one over the open connection, one over a new one
			go func() { answers <- status(http.DefaultClient, url) }()
		}
		until(t, func() bool { return atTheTurnstile() == 2 })
		if len(answers) > 0 {
			t.Error("requests were answered while held")
		}
		s.Release()
		for range 2 {
			if got := <-answers; got != "200 OK" {
				t.Error(got)
			}
		}
	}
}

// Hold waits for the request under way, but not for ever.
func TestHoldWaits(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	turnstile := &turnstile{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-finish })}
	s := &Server{turnstile: turnstile}
	go turnstile.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/publish?all", nil))
	<-began
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Hold(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("with a request under way and no time to wait: %v", err)
	}
	s.Release()
	held := make(chan error, 1)
	go func() { held <- s.Hold(t.Context()) }()
	until(t, func() bool { return blocked("select", "(*Server).Hold") == 1 })
	if len(held) > 0 {
		t.Error("it did not wait")
	}
	close(finish)
	if err := <-held; err != nil {
		t.Error(err)
	}
}

// After Forward the newer side answers all: requests that waited, those over
// connections that are open to the older one, and those over new ones; with the
// token that they carry.
func TestForward(t *testing.T) {
	old, err := New(Config{Listen: "127.0.0.1:0"}, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- old.Serve() }()
	client := &http.Client{Transport: &http.Transport{}}
	base := "http://" + old.Addr()
	if got := status(client, base+"/healthz"); got != "200 OK" {
		t.Fatal(got)
	}
	raw, err := net.Dial("tcp", old.Addr()) // and one that says nothing yet
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	until(t, func() bool { return old.listener.open() >= 2 })
	if err := old.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	file, err := old.File()
	if err != nil {
		t.Fatal(err)
	}
	young := side(t, Config{Listen: old.Addr(), Inherited: file, TokenFile: tokenFile(t, "secret")})
	over := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		over <- old.Forward(ctx)
	}()
	// Without the token that only the newer side wants: all get the same answer.
	if got := status(client, base+"/v1/stats"); got != "401 Unauthorized" {
		t.Errorf("over the open connection: %s", got)
	}
	if _, err := io.WriteString(raw, "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(raw) // up to the end of the connection
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") || !strings.Contains(string(answer), "Connection: close") {
		t.Errorf("over the silent connection: %v %s", err, answer)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if got := status(client, "http://"+young.Addr()+"/readyz"); got != "200 OK" {
		t.Errorf("afterwards: %s", got)
	}
}

// A publish that was forwarded takes as long as it does: the older side does not
// end before its answer has gone through.
func TestForwardedPublishTakesLong(t *testing.T) {
	old, err := New(Config{Listen: "127.0.0.1:0"}, &fake{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- old.Serve() }()
	client := &http.Client{Transport: &http.Transport{}}
	base := "http://" + old.Addr()
	if got := status(client, base+"/healthz"); got != "200 OK" {
		t.Fatal(got)
	}
	file, err := old.File()
	if err != nil {
		t.Fatal(err)
	}
	backend := &fake{hold: make(chan struct{})}
	sideOf(t, Config{Listen: old.Addr(), Inherited: file}, backend)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- old.Forward(ctx) }()
	until(t, old.gone.Load)
	answer := make(chan string, 1)
	go func() {
		r, err := client.Post(base+"/v1/publish?all", "text/plain", strings.NewReader("to all"))
		if err != nil {
			answer <- err.Error()
			return
		}
		r.Body.Close()
		answer <- r.Status
	}()
	until(t, func() bool { backend.mu.Lock(); defer backend.mu.Unlock(); return len(backend.messages) == 1 })
	cancel()
	select { // longer than the older side waits for anything else
	case got := <-answer:
		t.Errorf("the connection broke: %s", got)
	case <-time.After(2 * time.Second):
		close(backend.hold)
		if got := <-answer; got != "200 OK" {
			t.Errorf("the answer is %s", got)
		}
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// What is forwarded arrives to the letter, a query that cannot be read included:
// the newer process has to refuse it, not to see what is left of it.
func TestForwardedToTheLetter(t *testing.T) {
	got := make(chan *http.Request, 1)
	newer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Header.Set("Body", string(body))
		got <- r
	}))
	defer newer.Close()
	older := httptest.NewServer(forwarder(newer.Listener.Addr().String()))
	defer older.Close()
	for _, target := range []string{"/v1/publish?topic=news;deadline=1s&all", "/v1/publish?all&deadline=%5", "/v1/publish?", "/v1/publish",
		"/v1/publish?all&all&=&%zz=1&a+b=%20", "//v1/publish?all", "/v1/./publish", "/v1/topics/a%2Fb%20c+d/clients?reason=%e4", "/%76%31/publish?all#x",
		"/v1/topics/%c3%BC/clients", "*"} {
		method := "POST"
		if target == "*" {
			method = "OPTIONS"
			older.Config.DisableGeneralOptionsHandler, newer.Config.DisableGeneralOptionsHandler = true, true
		}
		c, err := net.Dial("tcp", older.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, method+" "+target+" HTTP/1.1\r\nHost: some.example\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n"+
			"Content-Length: 3\r\nConnection: close\r\n\r\na\x00b")
		answer, err := io.ReadAll(c)
		c.Close()
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			t.Errorf("%s: %v %s", target, err, answer)
			continue
		}
		r := <-got
		if r.RequestURI != target || r.Method != method || r.Host != "some.example" || r.Header.Get("Body") != "a\x00b" ||
			len(r.Header["Idempotency-Key"]) != 2 || r.Header.Get("Accept-Encoding") != "" || r.Header.Get("User-Agent") != "" {
			t.Errorf("%s %s arrived as %s %s %q of %s, %v", method, target, r.Method, r.RequestURI, r.Header.Get("Body"), r.Host, r.Header)
		}
	}
}

// No header lets a publish by while the server has to stand still. Its publisher has
// hung up, so that it does not wait for the end of that.
func TestNothingWalksPast(t *testing.T) {
	turnstile := &turnstile{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was let by") })}
	s := &Server{turnstile: turnstile}
	if err := s.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(gone, "POST", "/v1/publish?all", strings.NewReader("x"))
	r.Header.Set("Accept", "text/event-stream")
	turnstile.ServeHTTP(httptest.NewRecorder(), r)
}

func TestRemember(t *testing.T) {
	a := &Server{once: newOnce(time.Minute, 3)}
	run := func(s *Server, key string) reply {
		return s.once.do(t.Context(), key, [32]byte{1}, func() coming { return reply{status: 200, outcome: outcome{LastClient: 7}} })
	}
	for _, key := range []string{"a", "b", "c"} {
		run(a, key)
	}
	state, err := a.Remembered()
	if err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[int]string{0: "", 2: "bc", 10: "abc"} {
		b := &Server{once: newOnce(time.Minute, keys)}
		if err := b.Remember(state); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range b.once.ended {
			got += e.key
		}
		if got != want {
			t.Errorf("of %d keys, %q are known, want %q", keys, got, want)
		}
		if keys > 0 {
			if r := run(b, "c"); !r.replayed || r.outcome.LastClient != 7 {
				t.Errorf("repeated: %+v", r)
			}
		}
	}
	if err := a.Remember([]byte("{")); err == nil {
		t.Error("garbage was taken")
	}
}

// A key is remembered for what was left of its window, whatever the wall clock was
// set to meanwhile; what an older process wrote, for a window at most.
func TestRememberHasAges(t *testing.T) {
	then := time.Unix(1_000_000, 0)
	at := func(now time.Time) *Server {
		s := &Server{once: newOnce(time.Minute, 3)}
		s.once.now = func() time.Time { return now }
		return s
	}
	a := at(then)
	a.once.do(t.Context(), "k", [32]byte{1}, ok)
	a.once.now = func() time.Time { return then.Add(20 * time.Second) }
	state, err := a.Remembered()
	if err != nil {
		t.Fatal(err)
	}
	old := fmt.Sprintf(`[{"key":"k","print":%q,"status":200,"outcome":{},"until":%q}]`,
		base64.StdEncoding.EncodeToString(make([]byte, 32)), then.Add(time.Minute).Format(time.RFC3339Nano))
	for _, c := range []struct {
		state string
		now   time.Time
		left  time.Duration // less than 0: forgotten
	}{
		{string(state), then.Add(20 * time.Second), 40 * time.Second},
		{string(state), then.Add(time.Hour), 40 * time.Second},
		{string(state), then.Add(-time.Hour), 40 * time.Second},
		{old, then.Add(20 * time.Second), 40 * time.Second},
		{old, then.Add(-time.Hour), time.Minute},
		{old, then.Add(time.Hour), -1},
	} {
		b := at(c.now)
		if err := b.Remember([]byte(c.state)); err != nil {
			t.Fatal(err)
		}
		switch ended := b.once.ended; {
		case len(ended) == 0 && c.left >= 0:
			t.Errorf("%s at %v: forgotten", c.state, c.now)
		case len(ended) > 0 && ended[0].until.Sub(c.now) != c.left:
			t.Errorf("%s at %v: %v are left, want %v", c.state, c.now, ended[0].until.Sub(c.now), c.left)
		}
	}
}
