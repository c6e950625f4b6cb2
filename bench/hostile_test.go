package bench

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// hostile is a server that answers the handshake and then does what it likes
// with a connection, whose number begins at 1.
func hostile(t *testing.T, attack func(c net.Conn, n int)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := make([]byte, 4096)
				k, _ := c.Read(in)
				_, out, err := new(conn.Upgrader).Upgrade(in[:k], nil, new(conn.Request))
				if c.Write(out); err == nil {
					attack(c, n)
				}
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/"
}

// endless writes p again and again until the other end is gone.
func endless(p []byte) func(net.Conn, int) {
	return func(c net.Conn, _ int) {
		for {
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}
}

// attacked is an engine after a ramp and one more phase against url, both run
// by the test itself, and what it found out in the second, with the counts of both.
func attacked(t *testing.T, url string, p Plan, ph Phase, before func(*engine)) (*engine, *WorkerResult) {
	t.Helper()
	p.Targets, p.Phases = []string{url}, []Phase{{Kind: Ramp}, ph}
	p.Grace = Duration(50 * time.Millisecond)
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	targets, err := parseTargets(t.Context(), p.Targets)
	if err != nil {
		t.Fatal(err)
	}
	var last *WorkerResult
	var e *engine
	e, err = newEngine(Part{Plan: p, Workers: 1, Targets: targets, Run: 7}, func(ev event) {
		if ev.Began {
			e.post(command{End: &endCommand{Published: ph.Count}})
		}
		if ev.Result != nil {
			if last != nil { // an attack does not wait for the end of the ramp
				ev.Result.Counts.Add(&last.Counts)
			}
			last = ev.Result
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	if before != nil {
		before(e)
	}
	for i := range p.Phases {
		if err := e.runPhase(&startCommand{Phase: i, At: e.clock.now(), PublishBase: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return e, last
}

// A server that pings and does not read gets no more pongs than there is room for.
func TestPongsAreBounded(t *testing.T) {
	ping := conn.AppendFrame(nil, ws.OpPing, bytes.Repeat([]byte("p"), 125))
	url := hostile(t, endless(bytes.Repeat(ping, 500)))
	e, r := attacked(t, url, Plan{Clients: 2}, hold(awhile), nil)
	if e.bufs.held > 16<<20 || r.Counts.PongsDropped == 0 || r.Up != 2 {
		t.Errorf("%d bytes held, %d up: %+v", e.bufs.held, r.Up, r.Counts)
	}
}

// A server that answers what it has not read does not make a closed loop write
// without end.
func TestBlindAnswersAreBounded(t *testing.T) {
	answer := conn.AppendFrame(nil, ws.OpText, []byte("yes"))
	url := hostile(t, endless(bytes.Repeat(answer, 10000)))
	ph := Phase{Kind: Closed, Duration: Duration(awhile), Payload: strings.Repeat("x", 10_000), Expect: "yes"}
	e, r := attacked(t, url, Plan{Clients: 2}, ph, nil)
	if e.bufs.held > 16<<20 || r.Counts.Unsent == 0 {
		t.Errorf("%d bytes held, %+v", e.bufs.held, r.Counts)
	}
}

// Messages cut short have a bound in all: over it connections end, and are counted.
func TestCutMessagesAreBounded(t *testing.T) {
	whole := conn.AppendFrame(nil, ws.OpBinary, make([]byte, 900_000))
	url := hostile(t, func(c net.Conn, _ int) {
		c.Write(whole[:len(whole)-1])
		c.Read(make([]byte, 1))
	})
	e, r := attacked(t, url, Plan{Clients: 10, MaxBuffered: 2 << 20}, hold(awhile), nil)
	if e.bufs.held > 4<<20 || r.Counts.Overflows == 0 || r.Counts.Closes["out of buffers"] != r.Counts.Overflows {
		t.Errorf("%d bytes held, %+v", e.bufs.held, r.Counts)
	}
	if r.Counts.UnexpectedCloses != r.Counts.Overflows || r.Up == 0 {
		t.Errorf("%d up: %+v", r.Up, r.Counts)
	}
}

// Fragments without end are an error of the server's, and counted as that.
func TestEndlessFragments(t *testing.T) {
	t.Parallel()
	first := conn.AppendFrame(nil, ws.OpBinary, nil)
	first[0] &^= 0x80
	more := conn.AppendFrame(nil, ws.OpContinuation, nil)
	more[0] &^= 0x80
	url := hostile(t, func(c net.Conn, n int) { c.Write(first); endless(more)(c, n) })
	_, r := attacked(t, url, Plan{Clients: 1}, hold(awhile), nil)
	if r.Counts.UnexpectedCloses != 1 || r.Up != 0 {
		t.Errorf("%d up: %+v", r.Up, r.Counts)
	}
}

// A connection that always has more does not keep the engine from the others.
func TestStreamWithoutEnd(t *testing.T) {
	message := conn.AppendFrame(nil, ws.OpBinary, make([]byte, 60_000))
	url := hostile(t, func(c net.Conn, n int) {
		if n > 2 {
			endless(message)(c, n)
		}
		in := make([]byte, 1000)
		for n, err := c.Read(in); err == nil && n > 0; n, err = c.Read(in) {
			c.Write(conn.AppendFrame(nil, ws.OpText, []byte("yes")))
		}
	})
	ph := Phase{Kind: Closed, Duration: Duration(awhile), Active: 2, Payload: "x", Expect: "yes"}
	ended := make(chan *WorkerResult, 1)
	go func() {
		_, r := attacked(t, url, Plan{Clients: 4, MaxMessage: 64 << 10}, ph, func(e *engine) { e.inbuf = e.inbuf[:1000] })
		ended <- r
	}()
	select {
	case r := <-ended:
		if r.Counts.Messages == 0 {
			t.Errorf("nobody else was served: %+v", r.Counts)
		}
	case <-time.After(time.Minute):
		t.Fatal("the phase does not end")
	}
}

// Numbers that were never published are not taken for publishes.
func TestForgedPublishes(t *testing.T) {
	t.Parallel()
	url := hostile(t, func(c net.Conn, _ int) {
		for _, n := range []uint32{1, 3, 4, 1 << 31, 1<<32 - 1} {
			c.Write(conn.AppendFrame(nil, ws.OpText, appendPublish(nil, 7, n, 1, 100)))
		}
		c.Read(make([]byte, 1))
	})
	ph := Phase{Kind: Publish, Count: 3, Duration: Duration(300 * time.Millisecond)}
	e, r := attacked(t, url, Plan{Clients: 1, Publish: []string{"http://127.0.0.1:1/"}}, ph, nil)
	if len(e.fanLog) > 3 || cap(e.fanLog) > 64 {
		t.Errorf("%d publishes, %+v", len(e.fanLog), r.Counts)
	}
}

// Answers to a publish are read as far as they are of use.
func TestPublishAnswerIsBounded(t *testing.T) {
	t.Parallel()
	junk := bytes.Repeat([]byte("x"), 1<<20)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/endless", http.StatusFound)
		case "/header":
			w.Header().Set("X", string(junk))
		default:
			for r.Context().Err() == nil {
				w.Write(junk)
			}
		}
	}))
	defer h.Close()
	publish := func(p Plan) error {
		pub, err := newPublisher(&p)
		if err != nil {
			t.Fatal(err)
		}
		return pub.publish(t.Context(), []byte("x"), false)
	}
	if err := publish(Plan{Publish: []string{h.URL + "/endless"}}); err != nil {
		t.Error(err)
	}
	if err := publish(Plan{Publish: []string{h.URL + "/header"}}); err == nil {
		t.Error("a header of a megabyte was read")
	}
	if err := publish(Plan{Publish: []string{h.URL + "/moved"}}); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("redirected: %v", err)
	}
	err := publish(Plan{PublishCommand: "yes | head -c 3000000; exit 1"})
	if err == nil || len(err.Error()) > answerAtMost+200 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// A queue that is never empty takes no more than what is in it.
func TestDialQueueIsBounded(t *testing.T) {
	var d dialer
	for n := range uint32(1_000_000) {
		d.push(n)
		if n > 100 {
			if d.queue[d.head] != n-101 {
				t.Fatalf("%d came in place of %d", d.queue[d.head], n-101)
			}
			d.head++
		}
	}
	if cap(d.queue) > 10_000 {
		t.Errorf("%d slots for 101", cap(d.queue))
	}
}

// All that is held is known, and what nobody uses is given back.
func TestBuffersHeld(t *testing.T) {
	b := buffers{most: 1 << 20}
	var ids [100]uint32
	for i := range ids {
		b.add(&ids[i], make([]byte, 20_000))
		b.add(&ids[i], make([]byte, 20_000))
	}
	sum := 0
	for _, p := range b.all {
		sum += cap(p)
	}
	if b.held != sum || !b.full() {
		t.Errorf("%d held, %d counted, full %v", sum, b.held, b.full())
	}
	for i := range ids {
		b.drop(&ids[i])
	}
	if b.full() || b.kept != b.held || b.held > keepInAll {
		t.Errorf("%d held, %d kept", b.held, b.kept)
	}
}
