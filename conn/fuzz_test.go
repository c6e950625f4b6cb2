package conn

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/gobwas/ws"
)

// mostFuzzed bounds inputs in bytes: the plain reader's work, and that of
// trying every cut, is quadratic.
const mostFuzzed = 2 << 10

// FuzzFeed feeds any bytes in any cut, as any role, and wants what the plain
// reader makes of them. cuts gives the lengths of the pieces.
func FuzzFeed(f *testing.F) {
	for i, c := range streams {
		f.Add(c.stream, []byte{byte(i), 1, 200}, false, uint16(0), int8(0))
		f.Add(bare(c.stream), []byte{1}, true, uint16(300), int8(3))
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, client bool, most uint16, fragments int8) {
		if len(stream) > mostFuzzed {
			return
		}
		p := Protocol{Client: client, MaxMessage: int(most), MaxFragments: int(fragments)}
		want := runTwin(p, stream)
		i := 0
		next := func() int {
			if len(cuts) == 0 {
				return len(stream)
			}
			i++
			return int(cuts[i%len(cuts)])
		}
		got := feedCut(t, p, stream, next)
		if client {
			// The masks of pongs and closes are random.
			got.out, want.out = "", ""
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, stream %x, cuts %v:\n got %+v\nwant %+v", p, stream, cuts, got, want)
		}
		if !client {
			agreesWithGobwas(t, stream, want)
		}
	})
}

// agreesWithGobwas reads the frames of a stream that was accepted with
// gobwas's reader, which knows frames but not messages.
func agreesWithGobwas(t *testing.T, stream []byte, got outcome) {
	if got.err != "" {
		return
	}
	state, frames := ws.StateServerSide, 0
	for r := bytes.NewReader(stream); ; frames++ {
		h, err := ws.ReadHeader(r)
		if err != nil || h.Length > int64(r.Len()) {
			break
		}
		if err := ws.CheckHeader(h, state); err != nil {
			t.Fatalf("frame %d of %x: gobwas: %v", frames, stream, err)
		}
		if !h.OpCode.IsControl() {
			state = state.Clear(ws.StateFragmented)
			if !h.Fin {
				state = state.Set(ws.StateFragmented)
			}
		}
		r.Seek(h.Length, io.SeekCurrent)
	}
	if frames < len(got.events) {
		t.Fatalf("%d events of %d frames", len(got.events), frames)
	}
}

// FuzzState wants a state that was read to be one that can be written, and
// that Feed survives.
func FuzzState(f *testing.F) {
	f.Add(make([]byte, 16), []byte{})
	f.Add([]byte{3, 0, 0, 0, 9, 0, 0, 0, 1, 2, 3, 4, 1, 0, 3, 1}, text("abc"))
	f.Fuzz(func(t *testing.T, written, in []byte) {
		var s State
		if s.UnmarshalBinary(written) != nil {
			return
		}
		if again, _ := s.MarshalBinary(); !bytes.Equal(again, written) {
			t.Fatalf("%x was read, %x is written", written, again)
		}
		if len(in) < int(s.have) {
			return
		}
		rest, _, _ := new(Protocol).Feed(&s, in, nil, &recorder{t: t})
		if len(rest) < int(s.have) {
			t.Fatalf("%d bytes are kept, %d belong to a message", len(rest), s.have)
		}
	})
}

// FuzzUpgrade wants every answer to be HTTP, the same in every cut, and what
// is upgraded to be understood by net/http and by gobwas in the same way.
func FuzzUpgrade(f *testing.F) {
	for _, c := range requests {
		f.Add(c.in)
	}
	f.Add(request(getWS, "Sec-WebSocket-Protocol: a, b", "Content-Length: 0"))
	f.Add(request(getWS, "Sec-WebSocket-Protocol: "))
	f.Fuzz(func(t *testing.T, in []byte) {
		u := Upgrader{MaxHeader: 1 << 10}
		var r Request
		n, out, err := u.Upgrade(in, nil, &r)
		if n == 0 && err == nil {
			if len(out) > 0 || len(in) >= u.MaxHeader {
				t.Fatalf("no answer, and out is %q", out)
			}
			return
		}
		answer(t, out)
		checkRequestCuts(t, &u, in, n, out)
		if err == nil {
			in = in[emptyLines(in):n] // which the others do not ignore
			agreesWithNetHTTP(t, in, &r)
			if !gobwasKnows(t, in) {
				return
			}
			if want := gobwasUpgrade(t, in); want != string(out) {
				t.Fatalf("answered %q, gobwas answers %q", out, want)
			}
		}
	})
}

func agreesWithNetHTTP(t *testing.T, in []byte, r *Request) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err != nil {
		t.Fatalf("net/http: %v", err)
	}
	target := string(r.Path)
	if r.authority != nil && req.URL.Path == "" && target == "/" {
		target = ""
	}
	if r.Query != nil {
		target += "?" + string(r.Query)
	}
	if r.authority != nil {
		target = req.RequestURI[:len(req.URL.Scheme)+len("://")] + string(r.authority) + target
	}
	if req.RequestURI != target || req.Host != string(r.Host) || req.URL.RawQuery != string(r.Query) || req.ContentLength != 0 {
		t.Fatalf("net/http reads %q for %q, we read %q for %q", req.RequestURI, req.Host, target, r.Host)
	}
	req.Header.Del("Cache-Control") // net/http makes one up for Pragma: no-cache
	for name, values := range req.Header {
		if got := string(r.Header(name)); got != values[0] {
			t.Fatalf("field %q is %q to net/http, %q to us", name, values[0], got)
		}
	}
}

// FuzzResponse wants the same verdict in every cut, and what is accepted to be
// a response to net/http too.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(sampleResponse))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nfull\n"))
	f.Add([]byte("HTTP/1.1 101\r\nUpgrade: a\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > mostFuzzed {
			return
		}
		n, status, err := CheckResponse(in, sampleNonce)
		for i := range in {
			m, s, e := CheckResponse(in[:i], sampleNonce)
			if (m > 0 || e != nil) && (m != n || s != status || e != err) {
				t.Fatalf("after %d bytes: %d, status %d, error %v; whole: %d, %d, %v", i, m, s, e, n, status, err)
			}
		}
		if n == 0 || err != nil {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in[:n])), nil)
		if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("accepted %q, net/http: %v", in[:n], err)
		}
	})
}
