package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

// call is a request under way: its client waits for the answer, which comes from
// a worker (pooled.go) or from wherever the application has it (later.go).
//
// The loop sets everything above ended before anybody else knows of the call, but
// for topics, which stay the loop's, and began, which is the handler's. Who answers
// sets the answer and gives the call back, and touches it no more.
type call struct {
	there
	life     lifetime
	action   *dispatch.Action
	fan      *dispatch.Envelope // whom else the answer is for; nil if nobody
	seq      []byte
	topics   []string // that the handler subscribed the client to, if the cluster has to hear of it
	size     int      // what it counts in the account, until endCall
	deadline uint32   // tick
	began    int64    // instant

	ended    atomic.Bool // its answer is no longer waited for
	answered atomic.Bool // one is on its way
	counted  atomic.Bool // out: see endCall

	// The answer.
	frame []byte
	code  dispatch.Code
	took  int64 // nanoseconds
}

// beginCall makes k the call of the request in l.feeding. It reports false if requests
// under way may not take size bytes more.
func (l *loop) beginCall(k *call, a *dispatch.Action, size int) bool {
	if !l.server.memory.chargeRequest(size) {
		l.count.n[nBusy]++
		return false
	}
	timeout := l.server.cfg.ActionTimeout
	k.there = l.there(l.feeding.slot, l.feeding.cur)
	k.action, k.size, k.deadline = a, size, l.wheel.now+l.timeout(timeout)
	k.life.begin(l.server.ctx, timeout)
	return true
}

// endCall counts a call out once nobody works on it any more, which may be long
// after its client's wait for it has ended.
func (s *Server) endCall(k *call) {
	if k.counted.CompareAndSwap(false, true) {
		s.memory.freeRequest(k.size)
	}
}

// hold has the client that is being fed wait for call k.
func (l *loop) hold(k *call) {
	l.extras.make(l.feeding.slot, l.feeding.cur).call = k
	l.weigh(l.feeding.cur)
	l.pooled.calls = append(l.pooled.calls, k)
	l.pooled.waiting++
}

// unhold ends that wait.
func (l *loop) unhold(k *call, c *client) {
	k.ended.Store(true)
	l.extras.of(c).call = nil
	l.weigh(c)
	l.pooled.waiting--
}

// abandon forgets the call of a client that leaves.
func (l *loop) abandon(e *extra) {
	e.call.ended.Store(true)
	l.cancel(e.call, context.Canceled)
	e.call = nil
	l.pooled.waiting--
}

// cancel tells who works on a call that nobody waits for it any more.
func (l *loop) cancel(k *call, why error) {
	k.life.end(why)
	if k.action.Later { // by its handle alone the server holds nothing
		l.server.endCall(k)
	}
}

// answer sends what came back, and lets the client go on.
func (l *loop) answer(k *call) {
	count := &l.count.actions[k.action.Index]
	count.seconds.duration(time.Duration(k.took))
	if k.ended.Load() {
		l.count.n[nLate]++
		return
	}
	count.codes[codeIndex(k.code)]++
	c := l.clients.at(k.slot)
	frame := k.frame
	if k.fan != nil && k.code == dispatch.OK && !l.server.fanOut(k.fan, c.id, frame) {
		frame = nil
	}
	if !l.holdsForReach(k, frame) {
		l.finishCall(k, frame)
	}
}

// finishCall gives the client its answer, if there is one.
func (l *loop) finishCall(k *call, frame []byte) {
	l.resume(k, l.clients.at(k.slot), frame)
	if k.action.Later {
		l.server.endCall(k)
	}
}

// resume ends the client's wait for call k.
func (l *loop) resume(k *call, c *client, frame []byte) {
	l.unhold(k, c)
	if len(frame) > 0 {
		l.count.n[nMessagesOut]++
		l.send(k.slot, c, frame)
	}
	if c.state == stateOpen {
		l.readLater(k.slot, c)
	}
}

// checkCalls answers code 10 to clients whose answer takes too long. All have
// the same time-out, so the oldest is the next to expire. Those that have ended
// are forgotten, wherever they stand: each holds a copy of its request.
func (l *loop) checkCalls() {
	for _, k := range l.pooled.calls {
		if !k.ended.Load() {
			if before(l.wheel.now, k.deadline) {
				break
			}
			l.count.n[nTimeouts]++
			l.resume(k, l.clients.at(k.slot), l.busy10(k))
			l.cancel(k, context.DeadlineExceeded)
		}
	}
	l.pooled.calls = slices.DeleteFunc(l.pooled.calls, func(k *call) bool { return k.ended.Load() })
}

// busy10 is the answer to a call that does not come to its end.
func (l *loop) busy10(k *call) []byte {
	l.count.actions[k.action.Index].codes[codeIndex(dispatch.Busy)]++
	out, mark := conn.BeginFrame(nil)
	out = dispatch.AppendAnswer(out, dispatch.Busy, "", nil, []byte(k.action.Name), k.seq)
	return conn.EndFrame(out, mark, ws.OpText)
}
