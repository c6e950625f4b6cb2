//go:build !race

package conn

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// pinAllocs fails when f allocates more often than that.
func pinAllocs(t *testing.T, name string, most float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(200, f); got > most {
		t.Errorf("%s: %v allocations, want at most %v", name, got, most)
	}
}

func TestFeedAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream []byte
	}{
		{"heartbeat", text(heartbeat)},
		{"16 heartbeats", []byte(strings.Repeat(string(text(heartbeat)), 16))},
		{"echo of 1 KiB", text(strings.Repeat("x", 1024))},
		{"fragments", cut(ws.OpText, "a", "b", "c")},
		{"ping", ping("x")},
		{"close", closing(1000, "")},
		{"broken frame", frame(3, true, "")},
		{"half a message", text(heartbeat)[:20]},
	} {
		p, sink := new(Protocol), Sink(echo{})
		in, out := make([]byte, len(c.stream)), make([]byte, 0, 8192)
		s := new(State)
		pinAllocs(t, c.name, 0, func() {
			*s = State{}
			copy(in, c.stream)
			p.Feed(s, in, out, sink)
		})
	}
}

func TestHandshakeAllocatesNothing(t *testing.T) {
	var r Request
	out := make([]byte, 0, 1024)
	u := Upgrader{Route: onlyWS, Hosts: []string{"localhost"}, Origins: []string{"http://localhost:8066"},
		Protocols: []string{"b"}, Accept: func(*Request) error { return nil }}
	in := request(getWS, "Host: localhost:8066", "Origin: http://localhost:8066", "Sec-WebSocket-Protocol: a, b")
	pinAllocs(t, "upgrade", 0, func() {
		if _, _, err := u.Upgrade(in, out, &r); err != nil {
			t.Fatal(err)
		}
	})
	spelled := request("GET http://localhost:8066/%77s HTTP/1.2", "Origin: http://localhost:8066", "Sec-WebSocket-Extensions: a;b=c")
	pinAllocs(t, "upgrade of an absolute target with escapes", 0, func() {
		if _, _, err := u.Upgrade(spelled, out, &r); err != nil {
			t.Fatal(err)
		}
	})
	const parent = "a-name-longer-than-most.example.org"
	u.Hosts, u.Origins = []string{"other:1", "*." + parent + ":443"}, []string{"null", "other", "https://*." + parent}
	wild := request(getWS, "Host: www."+parent, "Origin: https://www."+parent+":443", "Sec-WebSocket-Protocol: a, b")
	pinAllocs(t, "upgrade by pattern", 0, func() {
		if _, _, err := u.Upgrade(wild, out, &r); err != nil {
			t.Fatal(err)
		}
	})
	for _, header := range [][]byte{v2(0x21, 0x21, tcp6, tlv(4, "x")), []byte("PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n"), []byte("GET ")} {
		pinAllocs(t, "PROXY header", 0, func() { ProxyHeader(header) })
	}
	far := request(getWS, "Host: www."+parent, "X-Forwarded-For: unknown, [2001:db8::7]:4000", "X-Forwarded-For: 10.1.2.3")
	pinAllocs(t, "X-Forwarded-For", 0, func() {
		if _, _, err := u.Upgrade(far, out, &r); err != nil {
			t.Fatal(err)
		}
		if _, found := r.ForwardedFor(proxies); !found {
			t.Fatal("none found")
		}
	})
	u.Date = func(out []byte) []byte { return append(out, "today"...) }
	tls := []byte("\x16\x03\x01")
	pinAllocs(t, "refusal", 0, func() { u.Upgrade(tls, out, &r) })
	pinAllocs(t, "request", 0, func() { AppendRequest(out, "localhost", "/ws", sampleNonce) })
	response := []byte(sampleResponse)
	pinAllocs(t, "response", 0, func() {
		if _, _, err := CheckResponse(response, sampleNonce); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFramesAllocateNothing(t *testing.T) {
	var p Protocol
	out, payload := make([]byte, 0, 8192), payloadOf(1024)
	pinAllocs(t, "AppendFrame", 0, func() { AppendFrame(out, ws.OpText, payload) })
	pinAllocs(t, "AppendMasked", 0, func() { AppendMasked(out, ws.OpText, true, payload, testMask) })
	pinAllocs(t, "BeginFrame and EndFrame", 0, func() {
		b, mark := BeginFrame(out)
		EndFrame(append(b, payload...), mark, ws.OpText)
	})
	pinAllocs(t, "AppendClose", 0, func() { p.AppendClose(new(State), out, 1008, "slow consumer") })
	pinAllocs(t, "Compile", 1, func() { Compile(ws.OpText, payload) })
}
