package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mounted serves s at /chat of an HTTP server of its own.
func mounted(t *testing.T, s *site) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/chat", s)
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

func dialHTTP(t testing.TB, h *httptest.Server, path string, fields ...string) (*peer, *http.Response) {
	t.Helper()
	p := connectTo(t, h.Listener.Addr().String())
	p.write(request(path, fields...))
	return p, p.response()
}

// TestServeHTTP: a handshake that another server has read is taken over, with
// what came behind it. From there on its client is like any other.
func TestServeHTTP(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}, Mux: testMux(), Subprotocols: []string{"chat"}, Origins: []string{"https://good"}, DrainTime: -1})
	h := mounted(t, s)
	var peers []*peer
	for range 20 {
		p, r := dialHTTP(t, h, "/chat?x=1", "Sec-WebSocket-Protocol: chat", "Origin: https://good")
		if r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Protocol") != "chat" {
			t.Fatalf("%s %v", r.Status, r.Header)
		}
		p.alive()
		peers = append(peers, p)
	}
	s.sent(All(), "news", 20)
	for _, p := range peers {
		p.expect("news")
	}
	id := peers[3].id()
	list, _, err := s.Clients(t.Context(), "", 100)
	if err != nil || len(list)+1 < 5 {
		t.Errorf("%d clients, %v", len(list), err)
	}
	for _, c := range list {
		if c.ID.String() == id && c.Address != peers[3].LocalAddr().String() {
			t.Errorf("the client's address is %s", c.Address)
		}
	}

	p := connectTo(t, h.Listener.Addr().String())
	p.write(request("/chat") + text(beat) + text(`{"actioncode":"echo","data":"` + strings.Repeat("z", 3000) + `"}`)[:2000])
	if r := p.response(); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	p.expect(beating)
	p.write(text(`{"actioncode":"echo","data":"` + strings.Repeat("z", 3000) + `"}`)[2000:])
	p.expect(good(`"`+strings.Repeat("z", 3000)+`"`, "echo"))
	p.leave()

	peers[0].leave()
	peers[1].reset()
	s.until("two left", func(st Stats) bool { return st.Clients.Connected == 18 })
	done := s.stopping(false)
	var wg sync.WaitGroup
	for _, p := range peers[2:] {
		wg.Go(func() {
			if code, _, err := p.end(); code != 1001 || err != nil {
				t.Errorf("closed with %d %v", code, err)
			}
			p.Close()
		})
	}
	wg.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, r := dialHTTP(t, h, "/chat"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("after the stop: %s", r.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestServeHTTPErrors: what the listener refuses is refused here as well.
func TestServeHTTPErrors(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}, MaxClients: 1, MaxPerAddress: 1, Origins: []string{"https://good"}})
	h := mounted(t, s)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"plain":   {"GET /chat HTTP/1.1\r\nHost: test\r\n\r\n", 426},
		"post":    {strings.Replace(request("/chat"), "GET", "POST", 1), 405},
		"origin":  {request("/chat", "Origin: https://evil"), 403},
		"body":    {request("/chat", "Content-Length: 3") + "abc", 400},
		"chunked": {request("/chat", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", 400},
		"header":  {request("/chat", "X: "+strings.Repeat("x", 10_000)), 431},
	} {
		t.Run(name, func(t *testing.T) {
			p := connectTo(t, h.Listener.Addr().String())
			p.write(c.request)
			p.refused(c.status)
			p.Close()
			s.until("it is gone", func(st Stats) bool { return st.Clients.Connected == 0 })
		})
	}
	p, r := dialHTTP(t, h, "/chat")
	if r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	q, r := dialHTTP(t, h, "/chat") // one too many
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", r.Status, r.Header)
	}
	q.Close()
	p.alive()
	p.leave()
	s.until("there is room", func(st Stats) bool { return st.Clients.Connected == 0 })
	_, r = dialHTTP(t, h, "/chat")
	if r.StatusCode != 101 {
		t.Errorf("%s", r.Status)
	}
}

// TestServeHTTPShare: the address's share counts here, too.
func TestServeHTTPShare(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}, MaxPerAddress: 2})
	h := mounted(t, s)
	for range 2 {
		if _, r := dialHTTP(t, h, "/chat"); r.StatusCode != 101 {
			t.Fatal(r.Status)
		}
	}
	if _, r := dialHTTP(t, h, "/chat"); r.StatusCode != 503 {
		t.Errorf("%s", r.Status)
	}
}

// TestServeHTTPLimits: all limits of admission hold for connections that are
// taken over, also when they come at once, and are counted.
func TestServeHTTPLimits(t *testing.T) {
	const comers = 60
	for what, c := range map[int]struct {
		cfg    Config
		within int
	}{
		refusedClients: {Config{MaxClients: 5}, 5},
		refusedRate:    {Config{HandshakeRate: 7}, 9}, // a second's worth, and what comes in by a slow test
		refusedAddress: {Config{MaxPerAddress: 6}, 6},
	} {
		t.Run(refusalNames[what], func(t *testing.T) {
			c.cfg.Listen, c.cfg.Loops = []string{"none"}, 3
			s := start(t, c.cfg)
			h := mounted(t, s)
			var peers []*peer
			for range comers {
				peers = append(peers, connectTo(t, h.Listener.Addr().String()))
			}
			begin := time.Now()
			var in atomic.Int64
			var all sync.WaitGroup
			for _, p := range peers {
				all.Go(func() {
					p.try(request("/chat"))
					if r, err := http.ReadResponse(p.br, nil); err == nil && r.StatusCode == 101 {
						in.Add(1)
					}
				})
			}
			all.Wait()
			within := int64(c.within)
			if what == refusedRate {
				within += int64(time.Since(begin).Seconds() * float64(c.cfg.HandshakeRate))
			}
			st := s.Stats()
			if n := in.Load(); n == 0 || n > within || st.Refused[refusalNames[what]] != uint64(comers-n) {
				t.Errorf("%d of %d are let in, %d are allowed; refused %v", n, comers, within, st.Refused)
			}
		})
	}
	t.Run("max_handshakes", func(t *testing.T) {
		s := start(t, Config{MaxHandshakes: 1})
		h := mounted(t, s)
		half := s.connect()
		s.until("one is joining", func(st Stats) bool { return st.Clients.Joining == 1 })
		if _, r := dialHTTP(t, h, "/chat"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s", r.Status)
		}
		s.refusedFor(refusedHandshakes, 1)
		half.shake("/ws")
		if _, r := dialHTTP(t, h, "/chat"); r.StatusCode != 101 {
			t.Errorf("%s", r.Status)
		}
	})
}

// TestServeHTTPRefusals: what cannot be taken over is refused in HTTP.
func TestServeHTTPRefusals(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}})
	w := httptest.NewRecorder() // has no connection
	s.ServeHTTP(w, httptest.NewRequest("GET", "/chat", nil))
	if w.Code != 501 {
		t.Errorf("without a connection: %d", w.Code)
	}
	h := httptest.NewTLSServer(s)
	defer h.Close()
	client := h.Client()
	r, err := client.Get(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 501 {
		t.Errorf("over TLS: %s", r.Status)
	}
	client.CloseIdleConnections()
	fresh := newSite(t, Config{Listen: []string{"none"}})
	w = httptest.NewRecorder()
	fresh.ServeHTTP(w, httptest.NewRequest("GET", "/chat", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("before the start: %d", w.Code)
	}
	fresh.stop()
}

// TestServeHTTPWhileStopping: connections that are taken over as the server
// ends are not lost: 503, a close frame, or nothing, but no descriptor.
func TestServeHTTPWhileStopping(t *testing.T) {
	for range 10 {
		s := start(t, Config{Listen: []string{"none"}, CloseTimeout: 50 * time.Millisecond})
		h := mounted(t, s)
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				<-begin
				for range 5 {
					c, err := dialQuietly(h.Listener.Addr().String())
					if err != nil {
						return
					}
					p := peerOf(t, c)
					p.try(request("/chat"))
					_, _ = p.br.ReadByte()
					c.Close()
				}
			})
		}
		close(begin)
		s.stop()
		wg.Wait()
		h.Close()
	}
}

// wrapped hides the descriptor of a connection.
type wrapped struct{ net.Conn }

type wrapping struct{ net.Listener }

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrapped{c}, nil
}

// TestServeHTTPWrapped: a connection that hides its descriptor is told so.
func TestServeHTTPWrapped(t *testing.T) {
	s := start(t, Config{Listen: []string{"none"}})
	h := httptest.NewUnstartedServer(s)
	h.Listener = wrapping{h.Listener}
	h.Start()
	defer h.Close()
	p, r := dialHTTP(t, h, "/")
	if r.StatusCode != 501 {
		t.Errorf("%s", r.Status)
	}
	p.finished()
}
