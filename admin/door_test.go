package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deaf connects with as small a receive buffer as there is, sends the same request
// again and again, and reads nothing.
func deaf(t *testing.T, address, request string) {
	t.Helper()
	d := net.Dialer{Timeout: 20 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if err2 := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) }); err2 != nil {
			return err2
		}
		return err
	}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() { _, _ = io.WriteString(c, strings.Repeat(request, 20_000)) }()
}

// Strangers who ask for what needs no token and read no answer keep out neither
// publishers nor probes, however many they are.
func TestDeafStrangersKeepNobodyOut(t *testing.T) {
	const most = 16
	for _, path := range []string{"/", "/v1/stats", "/healthz", pprofPath} {
		f := &fake{}
		s := sideOf(t, Config{MaxConns: most, TokenFile: tokenFile(t, testToken)}, f)
		for range 3 * most {
			deaf(t, s.Addr(), "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		// Far below the time that an answer may take; before, it was the shortest
		// time for which nobody was served.
		client := &http.Client{Timeout: answerTimeout / 3, Transport: &http.Transport{DisableKeepAlives: true}}
		for n := 1; n <= 10; n++ {
			if got := status(client, "http://"+s.Addr()+"/healthz"); got != "200 OK" {
				t.Fatalf("beside those who ask for %s, a probe: %s", path, got)
			}
			r, _ := http.NewRequest("POST", "http://"+s.Addr()+"/v1/publish?all", strings.NewReader("x"))
			r.Header.Set("Authorization", "Bearer "+testToken)
			answer, err := client.Do(r)
			if err != nil {
				t.Fatalf("beside those who ask for %s, a publish: %v", path, err)
			}
			answer.Body.Close()
			if got := len(f.published()); got != n || answer.StatusCode != 200 {
				t.Fatalf("beside those who ask for %s: %s, %d published", path, answer.Status, got)
			}
		}
		if n := s.listener.open(); n > most {
			t.Errorf("%d connections are open", n)
		}
	}
}

// Publishers who wait keep no probe out. When another needs the room, the first of
// those whose publish has not begun is told so.
func TestPublishersKeepNoProbeOut(t *testing.T) {
	const most, more = 16, 40
	f := &fake{hold: make(chan struct{})}
	s := sideOf(t, Config{MaxConns: most}, f)
	base := "http://" + s.Addr()
	answers := make(chan string, most+more)
	publish := func() {
		c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := c.Post(base+"/v1/publish?all", "text/plain", strings.NewReader("x"))
		if err != nil {
			answers <- err.Error()
			return
		}
		r.Body.Close()
		answers <- r.Status + " " + r.Header.Get("Retry-After")
	}
	const places = most - most/8
	for range places {
		go publish()
	}
	until(t, func() bool { return len(f.published()) == places })
	for range more {
		go publish()
	}
	for range 20 {
		if got := status(&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, base+"/healthz"); got != "200 OK" {
			t.Fatalf("a probe: %s", got)
		}
	}
	// All but those for whom there is room.
	for range more - most/8 {
		if got := <-answers; got != "503 Service Unavailable 1" {
			t.Errorf("a publish too many: %s", got)
		}
	}
	close(f.hold)
	served := 0
	for range places + most/8 {
		switch got := <-answers; got {
		case "200 OK ":
			served++
		case "503 Service Unavailable 1": // evicted for a probe
		default:
			t.Error(got)
		}
	}
	if served < places || served != len(f.published()) {
		t.Errorf("%d were served, %d published", served, len(f.published()))
	}
	if n := s.listener.refused.Load(); n != uint64(most-most/8+more-served) {
		t.Errorf("%d were refused", n)
	}
}

// A handover does not wait for answers that a stranger takes, or a probe.
func TestHoldPassesStrangersBy(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	turnstile := &turnstile{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-finish })}
	defer close(finish)
	go turnstile.pass(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	<-began
	if err := (&Server{turnstile: turnstile}).Hold(t.Context()); err != nil {
		t.Error(err)
	}
}

// namedConn is a connection from an address.
type namedConn struct {
	net.Conn
	from string
}

func (c namedConn) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.from)
	return a
}
func (c namedConn) Close() error { return nil }

// namedListener accepts connections from addresses.
type namedListener struct{ from chan string }

func (l namedListener) Accept() (net.Conn, error) { return namedConn{from: <-l.from}, nil }
func (l namedListener) Close() error              { return nil }
func (l namedListener) Addr() net.Addr            { return nil }

// Who makes room: the oldest of whoever has the most, strangers before those who
// have been let in before, and nobody whose request is under way.
func TestWhoMakesRoom(t *testing.T) {
	inner := namedListener{make(chan string, 1)}
	l := limitConns(inner, 7)
	now := time.Now()
	l.now = func() time.Time { return now }
	join := func(from string) *limitedConn {
		inner.from <- from
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.note(nc, http.StateNew)
		return nc.(*limitedConn)
	}
	var all []*limitedConn
	for _, from := range []string{"10.0.0.1:1", "[2001:db8::1]:2", "10.0.0.2:3", "[2001:db8::ffff]:4", "10.0.0.3:5", "10.0.0.3:6", "10.0.0.3:7"} {
		all = append(all, join(from))
	}
	publisher, idle := all[0], all[2]
	if !publisher.toBusy() || !idle.toBusy() {
		t.Fatal("a connection is closed")
	}
	l.note(idle, http.StateIdle)
	waiter := all[4]
	kicked := waiter.toWait() // known from here on
	l.makeRoom()              // the idle one is all that there is: the others have only come
	if idle.place != nil || waiter.place == nil {
		t.Error("the idle one did not make room, or another one did")
	}
	now = now.Add(grace)
	for i, want := range []int{1, 5, 3, 6} {
		before := l.evictable.Len()
		l.makeRoom()
		if all[want].place != nil || l.evictable.Len() != before-1 {
			t.Errorf("room %d was not made by connection %d", i, want)
		}
	}
	l.makeRoom()
	select {
	case <-kicked:
	default:
		t.Error("the one that waits was not told")
	}
	if waiter.toBusy() || idle.toBusy() {
		t.Error("one that made room begins a request")
	}
	l.makeRoom() // there is nobody
	if !l.wanted || publisher.state != connBusy {
		t.Error("the request under way made room, or the next one to end does not")
	}
	l.note(publisher, http.StateIdle)
	if l.wanted || publisher.place != nil {
		t.Error("it did not make room when it ended")
	}
	if n := l.evicted.Load(); n != 7 {
		t.Errorf("%d made room", n)
	}
}

// Strangers are answered on a few connections at once; who opened the most loses
// the oldest.
func TestFewStrangersAtOnce(t *testing.T) {
	inner := namedListener{make(chan string, 1)}
	l := limitConns(inner, 32)
	for i := range 32 {
		inner.from <- fmt.Sprintf("10.0.0.%d:1", i%3)
		nc, _ := l.Accept()
		l.note(nc, http.StateNew)
		nc.(*limitedConn).toStranger()
		if l.strangers > 4 {
			t.Fatalf("%d are answered at once", l.strangers)
		}
	}
	if n := l.evicted.Load(); n != 28 {
		t.Errorf("%d were closed", n)
	}
}
