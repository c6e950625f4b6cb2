package hosts

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsd/lab"
)

const (
	port  = 8066
	admin = "http://127.0.0.1:8067"
)

// server is a wsd serve on a host of its own, and who took over from it.
type server struct {
	t    *testing.T
	host *lab.Host
	log  string // a file
}

// serve starts a server, and returns when it is ready.
func serve(t *testing.T, host *lab.Host, args ...string) *server {
	t.Helper()
	s := &server{t, host, filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := host.Command(wsd, append([]string{"serve"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // the lab kills it, if an upgrade does not end it
	t.Cleanup(func() {
		if text, _ := os.ReadFile(s.log); t.Failed() {
			t.Logf("the server's log:\n%s", text)
		}
	})
	lab.Within(t, 0, "the server is ready", func() bool {
		r, err := host.HTTP().Get(admin + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return s
}

// call does a request on the server's own host.
func (s *server) call(method, path, body string, into any) {
	s.t.Helper()
	req, err := http.NewRequest(method, admin+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := s.host.HTTP().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %v, %s: %s", method, path, err, r.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

// outcome is the answer to a publish.
type outcome struct{ Matched, Sent, Queued, Dropped, Expired int }

// publish sends a message to all clients.
func (s *server) publish(message string) (o outcome) {
	s.t.Helper()
	s.call("POST", "/v1/publish?all", message, &o)
	if o.Dropped != 0 || o.Expired != 0 || o.Sent+o.Queued != o.Matched {
		s.t.Errorf("a publish: %+v", o)
	}
	return o
}

// counts are the totals that matter here.
type counts struct {
	Clients struct {
		Connected, Joining, Open int
	}
	Accepted, Opened int
	Refused, Closed  map[string]int
	MessagesIn       int `json:"messages_in"`
	Dropped          map[string]int
	PendingBytes     int `json:"pending_bytes"`
	StaleLoops       int `json:"stale_loops"`
}

func (s *server) counts() (c counts) {
	s.t.Helper()
	s.call("GET", "/v1/stats", "", &c)
	for _, all := range []map[string]int{c.Refused, c.Closed, c.Dropped} {
		maps.DeleteFunc(all, func(_ string, n int) bool { return n == 0 })
	}
	return c
}

// closed checks that so many clients were closed for these reasons and none for
// others, and that the rest is there.
func (s *server) closed(want map[string]int) {
	s.t.Helper()
	c, gone := s.counts(), 0
	for _, n := range want {
		gone += n
	}
	if !maps.Equal(c.Closed, want) {
		s.t.Errorf("closed: %v, want %v", c.Closed, want)
	}
	if c.Opened != c.Clients.Open+gone || c.Accepted != c.Opened || c.Clients.Connected != c.Clients.Open || len(c.Refused)+len(c.Dropped) != 0 {
		s.t.Errorf("the counters do not agree: %+v", c)
	}
}

// found waits until the server has closed n clients for a reason, and has let go
// of their sockets.
func (s *server) found(n int, reason string, timeout time.Duration) {
	s.t.Helper()
	var c counts
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%+v", c)
		}
	}()
	lab.Within(s.t, timeout, fmt.Sprintf("%d clients are found: %s", n, reason), func() bool {
		c = s.counts()
		return c.Closed[reason] >= n && c.Clients.Connected == c.Clients.Open
	})
}

// upgrade replaces the server by the same program.
func (s *server) upgrade() {
	s.t.Helper()
	if out, err := s.host.Command(wsd, "upgrade").CombinedOutput(); err != nil {
		s.t.Fatalf("upgrade: %v: %s", err, out)
	} else {
		s.t.Logf("%s", out)
	}
}
