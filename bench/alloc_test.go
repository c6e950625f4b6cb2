//go:build !race

package bench

import (
	"testing"
	"time"

	"wsd/conn"
)

// pumped is an engine whose one client talks to a server; the hot path runs in
// the calling goroutine.
func pumped(t testing.TB, s *testServer, ph Phase) *engine {
	t.Helper()
	plan := Plan{Targets: []string{s.url()}, Clients: 1, Phases: []Phase{{Kind: Ramp}, ph}}
	if err := plan.Complete(); err != nil {
		t.Fatal(err)
	}
	targets, err := parseTargets(t.Context(), plan.Targets)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(Part{Plan: plan, Workers: 1, Targets: targets}, func(event) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	if err := e.runPhase(&startCommand{At: e.now, PublishBase: 1}); err != nil {
		t.Fatal(err)
	}
	if err := e.begin(&startCommand{Phase: 1, At: e.now, PublishBase: 1}); err != nil {
		t.Fatal(err)
	}
	return e
}

// A request and its answer allocate nothing.
func TestHotPathAllocatesNothing(t *testing.T) {
	hour := Duration(time.Hour)
	for _, ph := range []Phase{
		{Kind: Closed, Duration: hour, Payload: numbered},
		{Kind: Open, Rate: 1000, Duration: hour, Payload: "x"},
		{Kind: Open, Interval: hour, Duration: hour, Bytes: 1000},
	} {
		measureEngine(t, pumped(t, start(t, &testServer{}), ph), ph)
	}
}

// measureEngine feeds answers to the engine without a server in between.
func measureEngine(t *testing.T, e *engine, ph Phase) {
	t.Helper()
	c := &e.clients[0]
	e.pend.drop(c)
	number := e.phase.number
	answer := conn.AppendFrame(nil, e.phase.template.op, e.phase.template.payload)
	in := make([]byte, len(answer))
	n := testing.AllocsPerRun(1000, func() {
		number++
		e.phase.number = number
		e.pend.push(c, e.now, e.now, number)
		frame := e.phase.template.frame(0, number)
		body := in[len(in)-len(e.phase.template.payload):]
		copy(in, answer)
		for i := range body {
			body[i] = frame[len(frame)-len(body)+i] ^ e.phase.template.frames[0].key[i&3]
		}
		e.cur = 0
		e.phase.end = 0 // no next request
		rest, out, err := e.proto.Feed(&c.state, in, e.outbuf[:0], e)
		if len(rest) > 0 || len(out) > 0 || err != nil {
			t.Fatalf("%q %q %v", rest, out, err)
		}
		e.after(1, 0, c, dueDeadline)
		e.timers.pop()
	})
	if n != 0 {
		t.Errorf("%s %v: %v allocations a request", ph.Kind, ph.Interval, n)
	}
	if e.phase.counts.WrongAnswers > 0 || e.pend.count > 0 {
		t.Errorf("the measurement itself is wrong: %+v", e.phase.counts)
	}
}
