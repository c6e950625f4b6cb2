package conn

import (
	"strings"
	"testing"
)

var sampleNonce = [16]byte([]byte("the sample nonce")) // of RFC 6455, 1.3

const sampleResponse = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

func TestAppendRequest(t *testing.T) {
	got := string(AppendRequest([]byte("kept"), "server.example.com", "/chat?a=b", sampleNonce, "Origin: http://example.com"))
	want := "keptGET /chat?a=b HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\r\n"
	if got != want {
		t.Errorf("got %q", got)
	}
	n, out, err := new(Upgrader).Upgrade([]byte(got[4:]), nil, new(Request))
	if n != len(got)-4 || err != nil || string(out) != sampleResponse {
		t.Errorf("our own server answers %q, error %v", out, err)
	}
}

func TestResponseField(t *testing.T) {
	for name, want := range map[string]string{"upgrade": "websocket", "Connection": "Upgrade", "Location": ""} {
		if got := string(ResponseField([]byte(sampleResponse), name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if ResponseField(nil, "Upgrade") != nil {
		t.Error("a field of nothing")
	}
}

func TestCheckResponse(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(sampleResponse, from, to, 1) }
	for _, c := range []struct {
		name   string
		in     string
		status int
		want   error
	}{
		{"plain", sampleResponse, 101, nil},
		{"without a reason", change("101 Switching Protocols", "101"), 101, nil},
		{"names in any case", strings.Replace(strings.ToLower(sampleResponse[:90]), "http", "HTTP", 1) + sampleResponse[90:], 101, nil},
		{"more fields", change("Upgrade: websocket", "Server: x\r\nUpgrade: WebSocket\r\nDate: now"), 101, nil},
		{"with body", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nfull\n", 503, errStatus},
		{"redirected", "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 302, errStatus},
		{"no HTTP", "SSH-2.0-x\r\n", 0, errNoResponse},
		{"old HTTP", change("1.1", "1.0"), 0, errNoResponse},
		{"no status", change("101", "1x1"), 0, errNoResponse},
		{"status 0", change("101", "000"), 0, errNoResponse},
		{"long status", change("101", "1010"), 0, errNoResponse},
		{"bare LF", change("\r\nU", "\nU"), 0, errResponse},
		{"folded", change("Connection", " Connection"), 101, errResponse},
		{"no upgrade", change("websocket", "h2c"), 101, errNotWebSocket},
		{"no connection", change("Connection: Upgrade", "Connection: close"), 101, errNotWebSocket},
		{"other key", change("s3pP", "S3pP"), 101, errProof},
		{"no key", change("Sec-WebSocket-Accept", "X"), 101, errProof},
		{"extension", change("Upgrade", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade"), 101, errExtension},
		{"too long", change("Upgrade", "X: "+strings.Repeat("x", 9000)+"\r\nUpgrade"), 0, errLongResponse},
	} {
		n, status, err := CheckResponse([]byte(c.in+"frames"), sampleNonce)
		if status != c.status || err != c.want {
			t.Errorf("%s: status %d, error %v", c.name, status, err)
		}
		if end := strings.Index(c.in, "\r\n\r\n") + 4; (c.status > 0 && n != end) || (c.status == 0 && n != 0) {
			t.Errorf("%s: header of %d bytes, want %d", c.name, n, end)
		}
		for i := 1; i < len(c.in); i++ {
			m, status, err := CheckResponse([]byte(c.in[:i]), sampleNonce)
			if m == 0 && err == nil {
				continue
			}
			if m != n || status != c.status || err != c.want {
				t.Errorf("%s after %d bytes: %d, status %d, error %v", c.name, i, m, status, err)
			}
			break
		}
	}
}
