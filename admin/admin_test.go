package admin

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestCalls(t *testing.T) {
	base := start(t, &fake{}, nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/healthz", 200, ""},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, ""},
		{"GET", "/v1/stats", 200, ""},
		{"GET", "/debug/pprof/", 200, ""},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, ""},
		{"GET", "/debug/pprof/cmdline", 200, ""},
		{"POST", "/debug/pprof/cmdline", 405, "GET, HEAD"},
		{"GET", "/", 200, ""},
		{"POST", "/", 405, "GET, HEAD"},
		{"GET", "/index.html", 404, ""},
		{"GET", "/openapi.json", 200, ""},
		{"GET", "/metrics", 200, ""},
		{"GET", "/v1/info", 200, ""},
		{"GET", "/v1/publish/stream", 405, "POST"},
		{"POST", "/v1/clients", 405, "GET, HEAD"},
		{"POST", "/v1/clients/" + idA, 405, "DELETE, GET, HEAD"},
		{"GET", "/v2/stats", 404, ""},
		{"POST", "/v1/stats", 405, "GET, HEAD"},
		{"GET", "/v1/publish?all", 405, "POST"},
		{"DELETE", "/healthz", 405, "GET, HEAD"},
	} {
		status, header, body := do(t, request{method: c.method, url: base + c.path})
		if status != c.status || header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q: %s", c.method, c.path, status, header.Get("Allow"), c.status, c.allow, body)
		}
	}
}

func TestReady(t *testing.T) {
	base := start(t, &fake{ready: errors.New("draining")}, nil)
	if status, _, body := do(t, request{url: base + "/readyz"}); status != 503 || !strings.Contains(body, `"detail":"draining"`) {
		t.Errorf("got %d %s", status, body)
	}
	if status, _, body := do(t, request{url: base + "/healthz"}); status != 200 || body != "{\"status\":\"ok\"}\n" {
		t.Errorf("a server that drains is alive: got %d %s", status, body)
	}
}

// Without a token this machine is let in, and no page from elsewhere.
func TestWebPagesStayOut(t *testing.T) {
	base := start(t, &fake{}, nil)
	own, _ := url.Parse(base)
	port := own.Port()
	for _, c := range []struct {
		host   string
		header map[string]string
		status int
	}{
		{"", nil, 200},
		{"localhost", nil, 200},
		{"LocalHost:" + port, nil, 200},
		{"127.9.9.9:" + port, nil, 200},
		{"[::1]:" + port, nil, 200},
		{"[::ffff:127.0.0.1]", nil, 200},
		{"evil.example", nil, 403},
		{"evil.example:" + port, nil, 403},
		{"localhost.evil.example", nil, 403},
		{"127.0.0.1.evil.example:" + port, nil, 403},
		{"10.0.0.1", nil, 403},
		{"", map[string]string{"Origin": base}, 200},
		{"", map[string]string{"Origin": "https://evil.example"}, 403},
		{"", map[string]string{"Origin": "null"}, 403},
		{"", map[string]string{"Origin": "http://localhost:1"}, 403},
		{"", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		{"", map[string]string{"Sec-Fetch-Site": "none"}, 200},
	} {
		for _, path := range []string{"/v1/stats", "/healthz"} {
			if status, _, body := do(t, request{url: base + path, host: c.host, header: c.header}); status != c.status {
				t.Errorf("%s, host %q, %v: %d, want %d: %s", path, c.host, c.header, status, c.status, body)
			}
		}
	}
}

func TestToken(t *testing.T) {
	base := start(t, &fake{}, withToken(t))
	for _, c := range []struct {
		path, authorization string
		status              int
	}{
		{"/v1/stats", "Bearer " + testToken, 200},
		{"/v1/stats", "bearer  " + testToken, 200},
		{"/debug/pprof/", "Bearer " + testToken, 200},
		{"/v1/stats", "", 401},
		{"/v1/stats", "Bearer", 401},
		{"/v1/stats", "Bearer ", 401},
		{"/v1/stats", "Bearer " + testToken + "x", 401},
		{"/v1/stats", "Bearer " + testToken[1:], 401},
		{"/v1/stats", "Basic " + testToken, 401},
		{"/v1/stats", testToken, 401},
		{"/debug/pprof/", "", 401},
		{"/nowhere", "", 401},
		{"/healthz", "", 200},
		{"/readyz", "", 200},
		{"/", "", 200},
		{"/metrics", "", 401},
		{"/v1/info", "", 401},
		{"/v1/clients", "", 401},
	} {
		header := map[string]string{"Authorization": c.authorization}
		status, answered, body := do(t, request{url: base + c.path, header: header, host: "any.example"})
		if status != c.status || (status == 401) != (answered.Get("WWW-Authenticate") != "") {
			t.Errorf("%s with %q: %d, want %d: %s", c.path, c.authorization, status, c.status, body)
		}
	}
}

func TestStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, size := range []int64{-1, mostPublish + 1} {
		if _, err := New(Config{Listen: "127.0.0.1:0", MaxPublish: size}, &fake{}); err == nil || !strings.Contains(err.Error(), "MaxPublish "+fmt.Sprint(size)) {
			t.Errorf("messages of %d bytes: %v", size, err)
		}
	}
	for _, c := range []struct {
		listen, file string
		want         []string // parts of the error; none: it starts
	}{
		{"127.0.0.1:0", "", nil},
		{"localhost:0", "", nil},
		{"127.0.0.2:0", "", nil},
		{":0", tokenFile(t, "secret"), nil},
		{":0", "", []string{`Listen ":0"`, "TokenFile"}},
		{"0.0.0.0:0", "", []string{`Listen "0.0.0.0:0"`, "TokenFile"}},
		{"[::]:0", "", []string{`Listen "[::]:0"`, "TokenFile"}},
		{"127.0.0.1", "", []string{`Listen "127.0.0.1":`, "host:port"}},
		{"unix:/run/wsd/admin.sock", "", []string{`Listen "unix:/run/wsd/admin.sock"`, "TCP"}},
		{taken.Addr().String(), "", []string{`Listen "` + taken.Addr().String() + `"`, "in use", "another"}},
		{"127.0.0.1:0", tokenFile(t, " \n"), []string{"TokenFile", "empty"}},
		{"127.0.0.1:0", tokenFile(t, "\ufeffsecret\n"), []string{"TokenFile", "byte order mark"}},
		{"127.0.0.1:x", "", []string{`Listen "127.0.0.1:x"`, "number"}},
		{"127.0.0.1:0", tokenFile(t, "two words"), []string{"TokenFile", "one word"}},
		{"127.0.0.1:0", filepath.Join(t.TempDir(), "none"), []string{"TokenFile", "no such file"}},
	} {
		s, err := New(Config{Listen: c.listen, TokenFile: c.file}, &fake{})
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (c.want == nil) {
			t.Errorf("%q: %v", c.listen, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v does not say %q", c.listen, err, want)
			}
		}
	}
}

// Connections beyond the limit wait their turn instead of taking descriptors.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for i := range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, i)
	}
	first := <-accepted
	defer (<-accepted).Close()
	until(t, func() bool { return blocked("select", "(*limitListener).Accept") == 1 })
	select {
	case <-accepted:
		t.Fatal("a third connection came through")
	default:
	}
	first.Close()
	first.Close() // gives its place back once
	third := <-accepted
	defer third.Close()
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing ended it with %v", err)
	}
}
