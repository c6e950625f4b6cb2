package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// While the clients go to a newer process, no request may be half done, none
// may be refused, and none be done by both. So Hold lets those under way end
// and has all others wait before they begin. Then either Release lets them
// begin, here; or Forward sends them on to the newer process, which has the
// listener by then: also those that still come over connections that are open
// to this one. Each of their answers says "Connection: close", so that the next
// request goes to the newer process by itself.

// turnstile stands in front of all requests.
type turnstile struct {
	next http.Handler

	forwarded atomic.Int64 // requests that wait for the newer process's answer, but for streams, which may go on for ever

	mu      sync.Mutex
	inside  int
	empty   chan struct{} // closed when the last one leaves; nil if nobody waits for that
	held    chan struct{} // closed when the waiting ends; nil while nobody has to wait
	forward http.Handler  // once set, where all go
}

func (t *turnstile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isLong(r):
		t.next.ServeHTTP(w, r)
	case r.URL.Path == streamPath: // it enters again for each of its lines
		t.pass(w, r)
	case t.enterOrForward(w, r):
		defer t.leave()
		t.next.ServeHTTP(w, r)
	}
}

// pass is for what nobody has to wait for once it has begun: it changes nothing.
func (t *turnstile) pass(w http.ResponseWriter, r *http.Request) {
	if t.enterOrForward(w, r) {
		t.leave()
		t.next.ServeHTTP(w, r)
	}
}

// enterOrForward reports whether the request is to be answered here.
func (t *turnstile) enterOrForward(w http.ResponseWriter, r *http.Request) bool {
	forward, ok := t.enter(r.Context())
	if ok && forward != nil {
		w.Header().Set("Connection", "close")
		if r.URL.Path != streamPath {
			t.forwarded.Add(1)
			defer t.forwarded.Add(-1)
		}
		forward.ServeHTTP(w, r)
	}
	return ok && forward == nil // if not ok, whoever asked has left
}

// isLong tells what takes as long as it was asked to: nobody waits for it.
func isLong(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, pprofPath)
}

func (t *turnstile) enter(ctx context.Context) (forward http.Handler, ok bool) {
	for {
		t.mu.Lock()
		held := t.held
		if t.forward != nil || held == nil {
			if t.forward == nil {
				t.inside++
			}
			defer t.mu.Unlock()
			return t.forward, true
		}
		t.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, false
		}
	}
}

func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside--
	if t.inside == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// Hold returns when no request is under way, or with ctx's error. Requests that
// come from here on wait for Release or Forward, one of which has to follow,
// also on an error. Profiles go on and are not waited for; a stream of publishes
// waits between two of them.
func (s *Server) Hold(ctx context.Context) error {
	t := s.turnstile
	t.mu.Lock()
	t.held = make(chan struct{})
	empty := make(chan struct{})
	if t.inside > 0 {
		t.empty = empty
	} else {
		close(empty)
	}
	t.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release ends Hold: requests are answered here again. Without Hold it does nothing.
func (s *Server) Release() { s.turnstile.open(nil) }

func (t *turnstile) open(forward http.Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forward = forward
	if t.held != nil {
		close(t.held)
		t.held = nil
	}
}

// Forward ends Hold, and this side: its listener, which another process serves
// from now on, is closed here, and requests go there. Serve returns nil. The
// connections that are open have until ctx is done to bring their next request,
// and one that has been forwarded then has answerTimeout to be answered: a publish
// takes as long as it does, and is made whether its answer gets through or not.
// Streams of publishes end, to be taken up there.
func (s *Server) Forward(ctx context.Context) error {
	s.turnstile.open(forwarder(s.Addr()))
	s.end()
	s.gone.Store(true)
	err := s.listener.Close()
	for s.listener.open() > 0 && ctx.Err() == nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for end := time.Now().Add(answerTimeout); s.turnstile.forwarded.Load() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(err, s.Shutdown(last))
}

// forwarder passes requests on as they are, so that the other process judges
// them by its own rules. ReverseProxy would leave out what it cannot read of a
// query, so that a request to be refused becomes another one.
func forwarder(address string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			to := *p.In.URL
			to.Scheme, to.Host, to.User = "http", address, nil
			p.Out.URL, p.Out.Host = &to, p.In.Host
		},
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, Proxy: nil},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			problem(w, http.StatusBadGateway, "the process that took over did not answer: "+err.Error())
		},
	}
}

// File is a copy of the listening descriptor, for the process that takes over.
// The caller closes it.
func (s *Server) File() (*os.File, error) {
	l, ok := s.listener.Listener.(*net.TCPListener)
	if !ok {
		return nil, errors.New("admin: the listener is no TCP listener")
	}
	return l.File()
}
