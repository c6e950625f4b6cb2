package admin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Who may not ask, or asks for what takes no body, is answered without waiting
// for one, and its connection ends: it holds no place that others need.
func TestNobodyWaitsForABody(t *testing.T) {
	for _, c := range []struct {
		ask    string
		token  bool // the server has one
		status int
	}{
		{"POST /v1/publish?all HTTP/1.1", true, 401},
		{"POST /v1/publish/stream HTTP/1.1", true, 401},
		{"POST /debug/pprof/symbol HTTP/1.1", true, 401},
		{"POST /healthz HTTP/1.1", true, 405},
		{"GET /healthz HTTP/1.1", true, 200},
		{"GET / HTTP/1.1", true, 200},
		{"GET /metrics HTTP/1.1", false, 200},
		{"DELETE /v1/clients/" + idA + " HTTP/1.1", false, 204},
		{"POST /v1/publish?all HTTP/1.1\r\nOrigin: http://evil.example", false, 403},
		{"POST /v1/publish/stream?answer=x HTTP/1.1", false, 400},
	} {
		for _, size := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			s := sideOf(t, Config{MaxConns: 1, TokenFile: map[bool]string{true: tokenFile(t, testToken)}[c.token]}, &fake{clients: crowd(1)})
			nc, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			// Far below every time-out: with one of them in the way this fails.
			_ = nc.SetDeadline(time.Now().Add(bodyTimeout / 2))
			fmt.Fprintf(nc, "%s\r\nHost: localhost\r\n%s\r\n\r\n", c.ask, size)
			in := bufio.NewReader(nc)
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Errorf("%s, %s: %v", c.ask, size, err)
				continue
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err := in.ReadByte(); r.StatusCode != c.status || err != io.EOF {
				t.Errorf("%s, %s: %s, and then %v", c.ask, size, r.Status, err)
			}
		}
	}
}

// A stream whose publisher waits to be asked for it begins at once.
func TestStreamIsAskedFor(t *testing.T) {
	f := &fake{}
	nc, err := net.Dial("tcp", strings.TrimPrefix(start(t, f, nil), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(nc, "POST /v1/publish/stream HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
	in := bufio.NewReader(nc)
	if r, err := http.ReadResponse(in, nil); err != nil || r.StatusCode != 100 {
		t.Fatal(r, err)
	}
	const lines = `{"all":true,"text":"x"}` + "\n"
	fmt.Fprintf(nc, "%x\r\n%s\r\n0\r\n\r\n", len(lines), lines)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 || len(f.published()) != 1 || !strings.Contains(string(text), `"end":"complete"`) {
		t.Errorf("%s %s %v", r.Status, text, err)
	}
}
