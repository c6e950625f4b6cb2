package bench

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsd/bench/report"
	"wsd/conn"
)

// A URL becomes what RFC 6455, 3 and 4.1 ask for in the request.
func TestURLs(t *testing.T) {
	for raw, want := range map[string]target{
		"ws://127.0.0.1":                         {netip.MustParseAddrPort("127.0.0.1:80"), "127.0.0.1", "/"},
		"WS://127.0.0.1:80/ws":                   {netip.MustParseAddrPort("127.0.0.1:80"), "127.0.0.1", "/ws"},
		"ws://127.0.0.1:/":                       {netip.MustParseAddrPort("127.0.0.1:80"), "127.0.0.1", "/"},
		"ws://127.0.0.1:8066?x=1&y=%2F":          {netip.MustParseAddrPort("127.0.0.1:8066"), "127.0.0.1:8066", "/?x=1&y=%2F"},
		"ws://[::1]:8066/a/../b":                 {netip.MustParseAddrPort("[::1]:8066"), "[::1]:8066", "/a/../b"},
		"ws://[fe80::1%25eth0]/":                 {netip.MustParseAddrPort("[fe80::1%eth0]:80"), "[fe80::1]", "/"},
		"ws://127.0.0.1/über uns?q=a b&r=\u00fc": {netip.MustParseAddrPort("127.0.0.1:80"), "127.0.0.1", "/%C3%BCber%20uns?q=a%20b&r=%C3%BC"},
		"ws://127.0.0.1/%2f%41":                  {netip.MustParseAddrPort("127.0.0.1:80"), "127.0.0.1", "/%2f%41"},
	} {
		if got, err := parseTarget(t.Context(), raw, nil); err != nil || got != want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	for raw, want := range map[string]string{
		"ws://u:geheim@127.0.0.1/": "Authorization: Basic @FILE",
		"ws://127.0.0.1/#x":        "fragment",
		"ws://127.0.0.1/#":         "fragment",
		"ws://127.0.0.1:0/":        "1 to 65535",
		"ws://127.0.0.1:70000/":    "1 to 65535",
		"ws://bücher.example/":     "xn--",
		"ws:///path":               "want ws://host:port/path",
		"ws:127.0.0.1":             "want ws://host:port/path",
		"ws://127.0.0.1/%zz":       "%zz",
	} {
		_, err := parseTarget(t.Context(), raw, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// Of several addresses the first that answers is taken, of the sources' kind.
func TestAddresses(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	all := []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.2")}
	if got, err := reachable(t.Context(), all, port, nil); err != nil || got.Addr() != all[2] {
		t.Errorf("%v, %v", got, err)
	}
	if got, _ := reachable(t.Context(), all[:2], port, []netip.Addr{netip.MustParseAddr("127.0.0.1")}); got.Addr() != all[1] {
		t.Errorf("%v", got)
	}
	if _, err := reachable(t.Context(), all[:1], port, all[2:]); err == nil {
		t.Error("IPv6 from an IPv4 source")
	}
}

// A request has one Host field, the plan's if it has one, and the secret of a file.
func TestHeaderFields(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts, tokens := make(chan string, 10), make(chan string, 10)
	s := start(t, &testServer{request: func(r *conn.Request) {
		hosts <- string(r.Host)
		tokens <- string(r.Header("Authorization"))
	}})
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		hosts <- r.Host
		tokens <- r.Header.Get("Authorization")
	}))
	defer h.Close()
	fields := []string{"Host: chat.example.org", "Authorization: Bearer @" + file}
	p := Plan{Clients: 1, Header: fields, Publish: []string{h.URL}, PublishHeader: fields, Grace: Duration(10 * time.Millisecond)}
	r, _ := load(t, s, p, publishPhase(1))
	for range 2 {
		if host, token := <-hosts, <-tokens; host != "chat.example.org" || token != "Bearer s3cret" {
			t.Errorf("host %q, authorization %q", host, token)
		}
	}
	if text, _ := json.Marshal(r); strings.Contains(string(text), "s3cret") || !strings.Contains(string(text), "@"+file) {
		t.Error("the report has the secret, or not its file")
	}
	for _, bad := range []string{"Host", "Na me: x", "Upgrade: h2c", "content-length: 3", "Sec-WebSocket-Extensions: permessage-deflate", "X: a\r\nY: b",
		"Authorization: Bearer @/nowhere/token", "Authorization: Bearer " + redacted, "X: @" + os.DevNull, ": x"} {
		if got, err := parseFields([]string{bad}); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
	for _, bad := range [][]string{{"Host: a", "Host: b"}, {"Host: a/b"}, {"Host: "}} {
		all, err := parseFields(bad)
		if err == nil {
			_, _, err = splitHost(all)
		}
		if err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// Secrets stand in no output.
func TestRedacted(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	p := Plan{Targets: []string{"ws://h/ws?access_token=geheim&x=1"}, Header: []string{"Cookie: sid=geheim", "Origin: https://a"}, First: `{"token":"` + jwt + `"}`,
		Publish: []string{"http://u:geheim@h/?key=geheim"}, PublishHeader: []string{"Authorization: Bearer geheim", "X-Api-Key: geheim"},
		PublishCommand: "curl -H 'Authorization: Bearer geheim' http://h/", Metrics: []string{"http://h/?token=geheim"}}
	plan, err := p.planText()
	if err != nil {
		t.Fatal(err)
	}
	r := report.Report{Plan: plan, Command: shownCommand([]string{"wsd", "bench", "--publish-header=Authorization: Bearer geheim",
		"--header", "X: geheim", "--publish", p.Publish[0], "--url=" + p.Targets[0], "--header=Origin: https://a"})}
	text, _ := json.Marshal(r)
	var page, table strings.Builder
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	r.WriteTable(&table)
	for _, out := range []string{string(text), page.String(), table.String()} {
		if strings.Contains(out, "geheim") || strings.Contains(out, jwt) {
			t.Errorf("%s", out[strings.Index(out, "geheim")-60:][:100])
		}
	}
	for _, want := range []string{"https://a", "Authorization: Bearer [redacted]", "x=1", "access_token="} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is gone: %s", want, text)
		}
	}
	if p.Header[0] != "Cookie: sid=geheim" {
		t.Error("the plan itself was changed")
	}
}

// respond is a server that answers every request with text, accept filled in.
func respond(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := make([]byte, 4096)
				n, _ := c.Read(in)
				_, out, _ := new(conn.Upgrader).Upgrade(in[:n], nil, new(conn.Request))
				plain, _, _ := strings.Cut(string(out), "Sec-WebSocket-Protocol")
				c.Write([]byte(strings.Replace(text, "101\r\n", strings.TrimRight(plain, "\r\n")+"\r\n", 1)))
				c.Read(in)
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/"
}

// What a client has to look at in an answer, it looks at.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, offer, want string // want: why not, "" if it connects
	}{
		{"101\r\n\r\n", "", ""},
		{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n101\r\n\r\n", "", ""},
		{"101\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "Sec-WebSocket-Protocol: v2, chat", ""},
		{"101\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "", "subprotocol"},
		{"101\r\nSec-WebSocket-Protocol: Chat\r\n\r\n", "Sec-WebSocket-Protocol: chat", "subprotocol"},
		{"101\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "Sec-WebSocket-Protocol: chat", "subprotocol"},
		{"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere/\r\n\r\n", "", `redirected to "ws://elsewhere/"`},
	} {
		p := &Plan{Targets: []string{respond(t, c.text)}, Clients: 1, Retries: 1, Phases: []Phase{{Kind: Ramp}}}
		if c.offer != "" {
			p.Header = []string{c.offer}
		}
		r, err := Run(t.Context(), p, Options{})
		switch {
		case c.want == "" && (err != nil || r.Phases[0].Up != 1):
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v", c.text, err)
		}
	}
}
