package bench

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/bench/report"
	"wsd/conn"
)

// What the server does wrong is counted as what it is, exactly.
func TestKnownFaults(t *testing.T) {
	t.Parallel()
	every := func(k, n int) bool { return n%k == 0 }
	for _, c := range []struct {
		name   string
		server *testServer
		phase  Phase
		check  func(p *report.Phase, sent uint64) bool
	}{
		{"loss", &testServer{answer: func(n int, msg []byte) [][]byte {
			if every(10, n) {
				return nil
			}
			return [][]byte{msg}
		}}, openLoop(1000), func(p *report.Phase, sent uint64) bool { return p.Lost == sent/10 && p.Faults() == p.Lost }},
		{"duplicates", &testServer{answer: func(n int, msg []byte) [][]byte {
			if every(10, n) {
				return [][]byte{msg, msg}
			}
			return [][]byte{msg}
		}}, openLoop(1000), func(p *report.Phase, sent uint64) bool { return p.Duplicates == sent/10 && p.Faults() == p.Duplicates }},
		{"order", swapper(), openLoop(1000), func(p *report.Phase, sent uint64) bool {
			return p.Reordered == sent/2 && p.Faults() == p.Reordered
		}},
		{"content", &testServer{answer: func(n int, msg []byte) [][]byte {
			if every(10, n) {
				msg[2] ^= 1
			}
			return [][]byte{msg}
		}}, openLoop(1000), func(p *report.Phase, sent uint64) bool {
			return p.WrongAnswers == sent/10 && p.Faults() == p.WrongAnswers
		}},
		{"expectation", &testServer{answer: func(n int, msg []byte) [][]byte {
			if every(10, n) {
				return [][]byte{[]byte("no")}
			}
			return [][]byte{[]byte("well, yes")}
		}}, Phase{Kind: Open, Rate: 1000, Duration: Duration(300 * time.Millisecond), Payload: "x", Expect: "yes"},
			func(p *report.Phase, sent uint64) bool {
				return p.WrongAnswers == sent/10 && p.Faults() == p.WrongAnswers
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.server)
			// One client, so that the n-th message is the n-th of the run.
			_, p := load(t, s, Plan{Clients: 1, Grace: lossGrace}, c.phase)
			open := p["open"]
			if open.Sent != 300 || uint64(s.messages.Load()) != 300 || !c.check(open, open.Sent) {
				t.Errorf("%d sent, %d seen by the server: %+v", open.Sent, s.messages.Load(), open.Counts)
			}
		})
	}
}

// swapper answers each pair of requests in the wrong order.
func swapper() *testServer {
	var held []byte
	return &testServer{answer: func(n int, msg []byte) [][]byte {
		if n%2 == 1 {
			held = msg
			return nil
		}
		return [][]byte{msg, held}
	}}
}

// What comes after a phase has given up on it is late, not a duplicate.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	given := make(chan struct{})
	s := start(t, &testServer{answer: func(_ int, msg []byte) [][]byte {
		select {
		case <-given:
		case <-t.Context().Done():
		}
		return [][]byte{msg}
	}})
	once := openLoop(10)
	once.Duration = Duration(90 * time.Millisecond)
	late := &until{begin: onHold(func() { close(given) }), ok: func(p *report.Progress) bool { return p.Counts.Late > 0 }}
	_, p := loadWith(t, s, Options{Observer: late}, Plan{Clients: 1, Grace: Duration(50 * time.Millisecond)}, once, hold(time.Minute))
	if p["open"].Sent != 1 || p["open"].Lost != 1 || p["hold"].Late != 1 || p["hold"].Faults() != 0 {
		t.Errorf("open %+v\nhold %+v", p["open"].Counts, p["hold"].Counts)
	}
}

// So is what comes between the phases.
func TestLateBetweenPhases(t *testing.T) {
	e := engine{clients: []client{{phase: open}}, wellBehaved: 1}
	c := &e.clients[0]
	e.phase.open, e.phase.number = true, 7
	e.pend.push(c, 0, 0, 7)
	e.giveUp()
	e.unsolicited(c, 7, true)
	e.unsolicited(c, 7, true)
	if n := e.phase.counts; n.Lost != 1 || n.Late != 1 || n.Duplicates != 1 {
		t.Errorf("one answer to a lost request, and the same again: %+v", n)
	}
}

// Connections that the server ends are counted by how it did.
func TestUnexpectedCloses(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{closeWith: func(n int) (ws.StatusCode, bool) { return 1008, n == 3 }})
	allClosed := &until{ok: func(p *report.Progress) bool { return p.Counts.UnexpectedCloses == 5 }}
	three := closedLoop(5) // each sends three messages, however long that takes
	three.Duration = Duration(time.Minute)
	_, p := loadWith(t, s, Options{Observer: allClosed}, Plan{Clients: 5}, three)
	closed := p["closed"]
	if closed.UnexpectedCloses != 5 || closed.Closes["1008"] != 5 || closed.Up != 0 || closed.Messages != 10 || closed.Lost != 5 {
		t.Errorf("%d up, %+v", closed.Up, closed.Counts)
	}

	s = start(t, &testServer{})
	closes := &until{
		begin: onHold(func() {
			s.each(func(c net.Conn, n int) {
				if n%2 == 0 {
					c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			})
		}),
		ok: func(p *report.Progress) bool { return p.Counts.UnexpectedCloses == 4 },
	}
	_, p = loadWith(t, s, Options{Observer: closes}, Plan{Clients: 4}, hold(time.Minute))
	if c := p["hold"].Counts; c.UnexpectedCloses != 4 || c.Closes["ECONNRESET"] != 2 || c.Closes["EOF"] != 2 {
		t.Errorf("%+v", c)
	}
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing for a minute")
		}
	}
}

// A server that masks its frames breaks the protocol and is called so.
func TestProtocolErrors(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{first: conn.AppendMasked(nil, ws.OpText, true, []byte("hello"), [4]byte{1, 2, 3, 4})})
	_, p := load(t, s, Plan{Clients: 2}, Phase{Kind: Hold, Duration: Duration(200 * time.Millisecond)})
	sum := p["ramp"].Counts
	sum.Add(&p["hold"].Counts)
	if len(sum.Closes) != 1 || sum.UnexpectedCloses != 2 {
		t.Errorf("%+v", sum)
	}
	for kind := range sum.Closes {
		if !bytes.HasPrefix([]byte(kind), []byte("protocol: ")) {
			t.Errorf("closed with %q", kind)
		}
	}
}

// What a server sends of itself is neither an answer nor a fault.
func TestUnsolicited(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{first: conn.AppendFrame(nil, ws.OpText, []byte("welcome"))})
	_, p := load(t, s, Plan{Clients: 3}, Phase{Kind: Hold, Duration: Duration(100 * time.Millisecond)})
	if n := p["ramp"].Unsolicited + p["hold"].Unsolicited; n != 3 || p["ramp"].Faults() != 0 {
		t.Errorf("%d unsolicited, %+v", n, p["ramp"].Counts)
	}
}

// A first message makes a client count as up only when it is answered.
func TestFirstMessage(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{delay: 20 * time.Millisecond})
	_, p := load(t, s, Plan{Clients: 5, First: "subscribe"}, closedLoop(5))
	wantClean(t, p["closed"])
	if first := p["ramp"].First; first.Count() != 5 || first.Min() < int64(20*time.Millisecond) {
		t.Errorf("%d first answers from %v", first.Count(), time.Duration(first.Min()))
	}
	if n := uint64(s.messages.Load()); n != 5+p["closed"].Sent {
		t.Errorf("server has %d messages, sent were 5 and %d", n, p["closed"].Sent)
	}
}
