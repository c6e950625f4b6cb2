package conn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// request builds a handshake from lines; the fields that every handshake needs
// are there unless a line of the same name replaces or, being empty, drops them.
func request(line string, fields ...string) []byte {
	base := []string{
		"Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	var b strings.Builder
	b.WriteString(line + "\r\n")
	for _, f := range base {
		name, _, _ := strings.Cut(f, ":")
		replaced := false
		for _, own := range fields {
			replaced = replaced || strings.HasPrefix(strings.ToLower(own), strings.ToLower(name)+":")
		}
		if !replaced {
			b.WriteString(f + "\r\n")
		}
	}
	for _, f := range fields {
		if !strings.HasSuffix(f, ":drop") {
			b.WriteString(f + "\r\n")
		}
	}
	return []byte(b.String() + "\r\n")
}

const getWS = "GET /ws HTTP/1.1"

var requests = []struct {
	name   string
	in     []byte
	status int
	reason string
}{
	{"plain", request(getWS), 101, ""},
	{"as browsers do", request("GET /ws?a=b HTTP/1.1", "Host: localhost:8066", "Connection: keep-alive, Upgrade",
		"Pragma: no-cache", "Cache-Control: no-cache", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Origin: http://localhost:8066",
		"Accept-Encoding: gzip, deflate, br", "Accept-Language: de,en;q=0.9",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), 101, ""},
	{"names in any case", request(getWS, "hOST:example.com", "UPGRADE: \tWebSocket ", "connection: UPGRADE", "sec-websocket-version:13"), 101, ""},
	{"host with port", request(getWS, "Host: [::1]:8066"), 101, ""},
	{"lists", request(getWS, "Upgrade: h2c, WebSocket", "Connection: keep-alive", "Connection: x,upgrade"), 101, ""},
	{"empty content", request(getWS, "Content-Length: 0"), 101, ""},
	{"an empty line first", append([]byte("\r\n"), request(getWS)...), 101, ""},
	{"many empty lines first", append([]byte(strings.Repeat("\r\n", 20)), request(getWS)...), 101, ""},
	{"absolute target", request("GET http://example.com/ws HTTP/1.1"), 101, ""},
	{"absolute target of another host", request("GET WS://[::1]:8066/ws?a=/b HTTP/1.1", "Host: evil"), 101, ""},
	{"absolute target behind TLS", request("GET https://example.com:/ws HTTP/1.1", "Host:"), 101, ""},
	{"HTTP/1.2", request("GET /ws HTTP/1.2"), 101, ""},
	{"HTTP/1.9", request("GET /ws HTTP/1.9"), 101, ""},
	{"expects to go on", request(getWS, "Expect: 100-Continue"), 101, ""},
	{"extensions", request(getWS, `Sec-WebSocket-Extensions: a; b=1 ;c = "d" , , e;f`, "sec-websocket-extensions:"), 101, ""},
	{"escaped path", request("GET /%77s HTTP/1.1"), 101, ""},
	{"frames behind it", append(request(getWS), text("first")...), 101, ""},

	{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00"), 400, "malformed request line"},
	{"a word and no more", []byte(strings.Repeat("A", 25)), 400, "malformed request line"},
	{"half an empty line first", append([]byte("\r"), request(getWS)...), 400, "malformed request line"},
	{"HTTP/2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "malformed request line"},
	{"no version", request("GET /ws"), 400, "malformed request line"},
	{"two blanks", request("GET  /ws HTTP/1.1"), 400, "malformed request line"},
	{"blank in the target", request("GET /w s HTTP/1.1"), 400, "malformed request line"},
	{"odd version", request("GET /ws HTTP/11"), 400, "malformed request line"},
	{"HTTP/1.0", request("GET /ws HTTP/1.0"), 505, "only HTTP/1.1 is spoken here"},
	{"HTTP/3.0", request("GET /ws HTTP/3.0"), 505, "only HTTP/1.1 is spoken here"},
	{"absolute target, no host", request("GET http:///ws HTTP/1.1"), 400, "malformed request target"},
	{"absolute target, a port alone", request("GET http://:80/ws HTTP/1.1"), 400, "malformed request target"},
	{"absolute target with a user", request("GET http://me@example.com/ws HTTP/1.1"), 400, "malformed request target"},
	{"absolute target of a file", request("GET file://example.com/ws HTTP/1.1"), 400, "malformed request target"},
	{"absolute target, bad escape", request("GET http://example.com/ws%2 HTTP/1.1"), 400, "malformed request target"},
	{"absolute target, Host missing", request("GET http://example.com/ws HTTP/1.1", "Host:drop"), 400, "missing or malformed Host"},
	{"absolute target, Host malformed", request("GET http://example.com/ws HTTP/1.1", "Host: a/b"), 400, "missing or malformed Host"},
	{"absolute target, other path", request("GET http://example.com HTTP/1.1"), 404, "not found"},
	{"no target", request("GET  HTTP/1.1"), 400, "malformed request target"},
	{"HTTP/2.0", request("GET /ws HTTP/2.0"), 505, "only HTTP/1.1 is spoken here"},
	{"authority target", request("CONNECT example.com:80 HTTP/1.1"), 400, "malformed request target"},
	{"asterisk target", request("OPTIONS * HTTP/1.1"), 400, "malformed request target"},
	{"bad escape", request("GET /ws%2 HTTP/1.1"), 400, "malformed request target"},
	{"fragment", request("GET /ws#x HTTP/1.1"), 400, "malformed request target"},
	{"NUL in the target", request("GET /w\x00s HTTP/1.1"), 400, "malformed request target"},

	{"bare LF", []byte("GET /ws HTTP/1.1\nHost: example.com\n\n"), 400, "line does not end in CRLF"},
	{"bare LF later", bytes.Replace(request(getWS), []byte("com\r\n"), []byte("com\n"), 1), 400, "line does not end in CRLF"},
	{"LF LF", bytes.Replace(request(getWS), []byte("\r\n\r\n"), []byte("\r\n\n"), 1), 400, "line does not end in CRLF"},
	{"bare CR", request(getWS, "A: b\rc"), 400, "malformed header field"},
	{"NUL", request(getWS, "A: b\x00c"), 400, "malformed header field"},
	{"DEL", request(getWS, "A: b\x7fc"), 400, "malformed header field"},
	{"folded line", request(getWS, "A: b", " c: d"), 400, "malformed header field"},
	{"no colon", request(getWS, "A"), 400, "malformed header field"},
	{"no name", request(getWS, ": a"), 400, "malformed header field"},
	{"blank before the colon", request(getWS, "Host : example.com"), 400, "malformed header field"},
	{"umlaut in a name", request(getWS, "Hänsel: a"), 400, "malformed header field"},
	{"umlaut in a value", request(getWS, "A: Hänsel"), 101, ""},

	{"no host", request(getWS, "Host:drop"), 400, "missing or malformed Host"},
	{"empty host", request(getWS, "Host: "), 400, "missing or malformed Host"},
	{"odd host", request(getWS, "Host: a/b"), 400, "missing or malformed Host"},
	{"user in the host", request(getWS, "Host: a@b"), 400, "missing or malformed Host"},
	{"a port and no host", request(getWS, "Host: :80"), 400, "missing or malformed Host"},
	{"odd port", request(getWS, "Host: a:b"), 400, "missing or malformed Host"},
	{"IPv6 without brackets", request(getWS, "Host: ::1"), 400, "missing or malformed Host"},
	{"half a bracket", request(getWS, "Host: [::1"), 400, "missing or malformed Host"},
	{"two hosts", request(getWS, "Host: a", "Host: b"), 400, "header field sent twice"},
	{"two keys", request(getWS, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
		400, "header field sent twice"},
	{"two versions", request(getWS, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"), 400, "header field sent twice"},
	{"two origins", request(getWS, "Origin: http://a", "Origin: http://a"), 400, "header field sent twice"},
	{"body", request(getWS, "Content-Length: 5"), 400, "a handshake has no body"},
	{"odd length", request(getWS, "Content-Length: +0"), 400, "a handshake has no body"},
	{"chunked body", request(getWS, "Transfer-Encoding: chunked"), 400, "a handshake has no body"},

	{"expects more", request(getWS, "Expect: 100-continue, tea"), 417, "no expectation but 100-continue is met here"},
	{"expects to go on with content", request(getWS, "Expect: 100-continue", "Content-Length: 1"), 400, "a handshake has no body"},
	{"odd extensions", request(getWS, "Sec-WebSocket-Extensions: a b"), 400, "malformed Sec-WebSocket-Extensions"},
	{"extension without a parameter", request(getWS, "Sec-WebSocket-Extensions: a;"), 400, "malformed Sec-WebSocket-Extensions"},
	{"extension in quotes", request(getWS, `Sec-WebSocket-Extensions: "a"`), 400, "malformed Sec-WebSocket-Extensions"},
	{"open quotes", request(getWS, `Sec-WebSocket-Extensions: a;b="c`), 400, "malformed Sec-WebSocket-Extensions"},
	{"no token in quotes", request(getWS, `Sec-WebSocket-Extensions: a;b="c d"`), 400, "malformed Sec-WebSocket-Extensions"},
	{"nothing in quotes", request(getWS, `Sec-WebSocket-Extensions: a;b=""`), 400, "malformed Sec-WebSocket-Extensions"},

	{"POST", request("POST /ws HTTP/1.1", "Content-Length: 5"), 405, "only GET is allowed"},
	{"HEAD", request("HEAD /ws HTTP/1.1"), 405, ""},
	{"other path", request("GET / HTTP/1.1"), 404, "not found"},
	{"plain GET", []byte("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"), 426, "this is a WebSocket endpoint, version 13"},
	{"h2c", request(getWS, "Upgrade: h2c"), 426, "this is a WebSocket endpoint, version 13"},
	{"no connection", request(getWS, "Connection: close"), 400, "Connection does not list Upgrade"},
	{"no version field", request(getWS, "Sec-WebSocket-Version:drop"), 426, "this is a WebSocket endpoint, version 13"},
	{"version 8", request(getWS, "Sec-WebSocket-Version: 8"), 426, "this is a WebSocket endpoint, version 13"},
	{"no key", request(getWS, "Sec-WebSocket-Key:drop"), 400, "missing or malformed Sec-WebSocket-Key"},
	{"short key", request(getWS, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ="), 400, "missing or malformed Sec-WebSocket-Key"},
	{"key of 17 bytes", request(getWS, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQQ="), 400, "missing or malformed Sec-WebSocket-Key"},
	{"odd key", request(getWS, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q=="), 400, "missing or malformed Sec-WebSocket-Key"},

	{"too long", request(getWS, "A: "+strings.Repeat("a", 9000)), 431, "request header too large"},
	{"endless line", []byte("GET /" + strings.Repeat("a", 9000)), 414, "request target too long"},
	{"empty lines without end", []byte(strings.Repeat("\r\n", 5000)), 431, "request header too large"},
}

func onlyWS(path []byte) bool { return SamePath("/ws", path) }

// Each request is answered alike however it arrives, and not before it must be.
func TestUpgrade(t *testing.T) {
	u := Upgrader{Route: onlyWS}
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			var r Request
			before := string(c.in)
			n, out, err := u.Upgrade(c.in, []byte("kept"), &r)
			if status, reason := answer(t, out[4:]); status != c.status || reason != c.reason {
				t.Fatalf("answered %d %q, want %d %q", status, reason, c.status, c.reason)
			}
			if (c.status == 101) != (err == nil) || (n > 0) != (err == nil) || string(out[:4]) != "kept" {
				t.Errorf("n %d, error %v, out %q", n, err, out)
			}
			if string(c.in) != before {
				t.Error("the request was changed")
			}
			checkRequestCuts(t, &u, c.in, n, out[4:])
		})
	}
}

// checkRequestCuts lets the request grow byte by byte.
func checkRequestCuts(t *testing.T, u *Upgrader, in []byte, n int, out []byte) {
	t.Helper()
	var r Request
	for i := 1; i <= len(in); i++ {
		m, got, err := u.Upgrade(in[:i:i], nil, &r)
		if m == 0 && err == nil {
			if len(got) > 0 {
				t.Fatalf("after %d bytes: an answer and yet more are wanted", i)
			}
			continue
		}
		if m != n || !bytes.Equal(got, out) {
			t.Fatalf("after %d bytes: n %d, want %d, out %q", i, m, n, got)
		}
		if err == nil && i < n {
			t.Fatalf("upgraded after %d of %d bytes", i, n)
		}
		return
	}
	t.Fatal("no answer")
}

// answer parses a response as clients do.
func answer(t *testing.T, out []byte) (status int, reason string) {
	t.Helper()
	asked := &http.Request{Method: "GET"}
	if bytes.HasSuffix(out, []byte("\r\n\r\n")) && !bytes.HasPrefix(out, []byte("HTTP/1.1 101")) {
		asked.Method = "HEAD"
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), asked)
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	if resp.StatusCode == 101 {
		return 101, ""
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if !resp.Close || asked.Method == "GET" && resp.ContentLength != int64(body.Len()) {
		t.Errorf("%q: close %v, length %d", out, resp.Close, resp.ContentLength)
	}
	return resp.StatusCode, strings.TrimSuffix(body.String(), "\n")
}

func TestUpgradeFillsRequest(t *testing.T) {
	in := request("GET /a%20b?x=1?y HTTP/1.1", "Origin: https://o", "X-A:  one ", "x-a: two", "Sec-WebSocket-Protocol: p1, p2")
	r := Request{Path: []byte("stale"), Query: []byte("stale")}
	n, _, err := new(Upgrader).Upgrade(append(in, "frames"...), nil, &r)
	if n != len(in) || err != nil {
		t.Fatal(n, err)
	}
	got := fmt.Sprintf("%s %s %s %s %s %s %s", r.Method, r.Path, r.Query, r.Host, r.Origin, r.Protocol, r.Header("X-a"))
	if want := "GET /a%20b x=1?y example.com https://o p1 one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r.Header("x-b") != nil || r.Header("") != nil {
		t.Error("a field that is not there was found")
	}
	if _, _, err = new(Upgrader).Upgrade(request("GET / HTTP/1.1"), nil, &r); err != nil || r.Query != nil || r.Origin != nil || r.Protocol != nil {
		t.Errorf("a used Request kept %+v", r)
	}
}

// What is upgraded is upgraded by gobwas's Upgrader as well, with the same
// response.
func TestUpgradeAgreesWithGobwas(t *testing.T) {
	for _, c := range requests {
		in := c.in[emptyLines(c.in):] // which gobwas does not ignore, nor does net/http
		if c.status != 101 || c.name == "frames behind it" || !gobwasKnows(t, in) {
			continue
		}
		_, out, err := new(Upgrader).Upgrade(c.in, nil, new(Request))
		if err != nil {
			t.Fatal(err)
		}
		if want := gobwasUpgrade(t, in); string(out) != want {
			t.Errorf("%s: %q, gobwas answers %q", c.name, out, want)
		}
	}
}

// gobwasKnows reports whether Upgrade and Connection are as gobwas wants them:
// once each, the former no list, which RFC 6455, 4.2.1 would allow, the latter
// nothing but tokens; and so with the subprotocols, of which there may be none
// in a list for us (RFC 9110, 5.6.1.2).
func gobwasKnows(t *testing.T, in []byte) bool {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err != nil {
		t.Fatalf("net/http: %v", err)
	}
	upgrade, connection := req.Header["Upgrade"], req.Header["Connection"]
	if len(upgrade) != 1 || !strings.EqualFold(upgrade[0], "websocket") || len(connection) != 1 {
		return false
	}
	for _, list := range append(connection, req.Header["Sec-Websocket-Protocol"]...) {
		for _, item := range strings.Split(list, ",") {
			if !isToken(trim([]byte(item))) {
				return false
			}
		}
	}
	return true
}

// memory is a connection: what is read was there before, what is written is kept.
type memory struct {
	*bytes.Reader
	written bytes.Buffer
}

func (m *memory) Write(p []byte) (int, error) { return m.written.Write(p) }

func gobwasUpgrade(t *testing.T, in []byte) string {
	m := &memory{Reader: bytes.NewReader(in)}
	u := ws.Upgrader{Protocol: func([]byte) bool { return true }}
	if _, err := u.Upgrade(m); err != nil {
		t.Errorf("gobwas: %v", err)
	}
	return m.written.String()
}

func TestMaxHeader(t *testing.T) {
	in := request(getWS)
	for _, c := range []struct{ most, n int }{{len(in), len(in)}, {len(in) - 1, 0}} {
		u := Upgrader{MaxHeader: c.most}
		n, out, err := u.Upgrade(append(in, "frames"...), nil, new(Request))
		if n != c.n || (err == nil) != (n > 0) {
			t.Errorf("limit %d of %d: n %d, error %v, %q", c.most, len(in), n, err, out)
		}
	}
}

func TestSubprotocols(t *testing.T) {
	for _, c := range []struct {
		ours   []string
		fields []string
		want   string
		status int
	}{
		{nil, nil, "", 101},
		{nil, []string{"Sec-WebSocket-Protocol: a, b"}, "a", 101},
		{[]string{"b", "a"}, []string{"Sec-WebSocket-Protocol: a, b"}, "a", 101},
		{[]string{"b"}, []string{"Sec-WebSocket-Protocol: a,b"}, "b", 101},
		{[]string{"b"}, []string{"Sec-WebSocket-Protocol: a", "sec-websocket-protocol: b"}, "b", 101},
		{[]string{"b"}, []string{"Sec-WebSocket-Protocol: B"}, "", 101},
		{nil, []string{"Sec-WebSocket-Protocol: , ,c"}, "c", 101},
		{nil, []string{"Sec-WebSocket-Protocol:"}, "", 101},
		{nil, []string{"Sec-WebSocket-Protocol: a b"}, "", 400},
		{nil, []string{"Sec-WebSocket-Protocol: a, \"b\""}, "", 400},
	} {
		u := Upgrader{Protocols: c.ours}
		var r Request
		_, out, _ := u.Upgrade(request(getWS, c.fields...), nil, &r)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%q: %q", c.fields, out)
			continue
		}
		if got := resp.Header.Get("Sec-Websocket-Protocol"); got != c.want || c.status == 101 && string(r.Protocol) != c.want {
			t.Errorf("%q for %q: chose %q, %q", c.fields, c.ours, got, r.Protocol)
		}
	}
}

func TestAccept(t *testing.T) {
	var reply error
	u := Upgrader{Accept: func(r *Request) error {
		if string(r.Header("Authorization")) != "Bearer x" || string(r.Path) != "/ws" {
			t.Errorf("asked about %q with %q", r.Path, r.Header("Authorization"))
		}
		return reply
	}}
	for _, c := range []struct {
		reply error
		want  string
	}{
		{nil, "HTTP/1.1 101 Switching Protocols\r\n"},
		{errors.New("a secret reason"), "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n" +
			"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nnot allowed\n"},
		{&HTTPError{Status: 503, Reason: "full", RetryAfter: 7}, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 7\r\n"},
		{&HTTPError{Status: 401, Reason: "who", Header: [][2]string{{"WWW-Authenticate", "Bearer"}, {"X", "a\r\nb: c"}}},
			"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWWW-Authenticate: Bearer\r\nContent-Type: text/plain"},
	} {
		reply = c.reply
		n, out, err := u.Upgrade(request(getWS, "Authorization: Bearer x"), nil, new(Request))
		if err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
		if !strings.HasPrefix(string(out), c.want) || (err == nil) != (c.reply == nil) || (n > 0) != (c.reply == nil) {
			t.Errorf("Accept returns %v: %q, error %v", c.reply, out, err)
		}
	}
}

func TestErrorFields(t *testing.T) {
	for status, want := range map[int]string{
		405: "\r\nAllow: GET\r\n",
		426: "\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
	} {
		out := string(new(Upgrader).Refuse(nil, nil, &HTTPError{Status: status, Reason: "x"}))
		if !strings.Contains(out, want) {
			t.Errorf("%d lacks %q: %q", status, want, out)
		}
	}
}

func TestHeaderEnd(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "\r\n": 0, "\r\n\r\n": 0, "\r\n\r\na\r\n\r\nb": 9, "a\r\n\r": 0, "a\r\n\r\nb": 5, "a\r\nb\r\n\r\n": 8, "a\n\n": 0, "a\r\n\n": 0, "\n": 0,
	} {
		if got := HeaderEnd([]byte(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// TestHeadHasNoBody: the answer to HEAD says how long the body would be, and has none.
func TestHeadHasNoBody(t *testing.T) {
	var u Upgrader
	var r Request
	_, out, err := u.Upgrade(request("HEAD /ws HTTP/1.1"), nil, &r)
	if err == nil || !strings.HasPrefix(string(out), "HTTP/1.1 405 ") || !strings.Contains(string(out), "\r\nContent-Length: 20\r\n") ||
		!strings.HasSuffix(string(out), "\r\n\r\n") {
		t.Errorf("%q, %v", out, err)
	}
}
