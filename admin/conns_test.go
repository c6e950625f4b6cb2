package admin

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// Connections without a request keep nobody out, however many they are. One that
// waits for its answer stays.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 4
	f := &fake{hold: make(chan struct{})}
	s := sideOf(t, Config{MaxConns: most}, f)
	base := "http://" + s.Addr()
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	published := make(chan string, 1)
	go func() {
		r, err := once.Post(base+"/v1/publish?all", "text/plain", strings.NewReader("x"))
		if err != nil {
			published <- err.Error()
			return
		}
		r.Body.Close()
		published <- r.Status
	}()
	until(t, func() bool { return len(f.published()) == 1 })
	for range 5 * most {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if got := status(once, base+"/healthz"); got != "200 OK" {
		t.Errorf("beside idle connections: %s", got)
	}
	close(f.hold)
	if got := <-published; got != "200 OK" {
		t.Errorf("the publish under way: %s", got)
	}
	if n := s.listener.evicted.Load(); n < 4*most {
		t.Errorf("%d connections made room", n)
	}
	if n := s.listener.open(); n > most {
		t.Errorf("%d are open", n)
	}
}

// counted counts what it has accepted.
type counted struct {
	net.Listener
	n atomic.Int32
}

func (c *counted) Accept() (net.Conn, error) {
	nc, err := c.Listener.Accept()
	c.n.Add(1)
	return nc, err
}

// The connection that waits for room when the listener is closed is let in: the
// kernel gives it to nobody else.
func TestWaitingConnectionAtTheEnd(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Listener: inner}
	l := limitConns(c, 1)
	type accept struct {
		nc  net.Conn
		err error
	}
	accepted := make(chan accept)
	go func() {
		for range 3 {
			nc, err := l.Accept()
			accepted <- accept{nc, err}
		}
	}()
	for range 2 {
		nc, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	first := <-accepted
	until(t, func() bool { return c.n.Load() == 2 })
	l.Close()
	second := <-accepted
	if first.err != nil || second.err != nil {
		t.Fatal(first.err, second.err)
	}
	second.nc.Close()
	if l.open() != 1 {
		t.Errorf("%d are open", l.open())
	}
	first.nc.Close()
	if third := <-accepted; !errors.Is(third.err, net.ErrClosed) || l.open() != 0 {
		t.Errorf("%v, %d are open", third.err, l.open())
	}
}
