package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
	"wsd/dispatch"
)

// call is a pooled handler at work for a client.
type call struct {
	slot     uint32
	size     int // what it counts in the account, until endCall
	action   *dispatch.Action
	ctx      dispatch.Context
	cancel   context.CancelFunc
	fan      bool
	deadline uint32 // tick
	// ended: its answer is no longer waited for. Set by the loop, read by the worker.
	ended   atomic.Bool
	counted atomic.Bool // out: see endCall
}

func (k *call) abandon() {
	k.ended.Store(true)
	k.cancel()
}

// newCall makes a call of the request in l.feeding.ctx, with memory of its own. It
// is nil if requests under way may not take that much.
func (l *loop) newCall(a *dispatch.Action) *call {
	s := l.server
	size := callCost + sizeOf(&l.feeding.env)
	if !s.memory.chargeRequest(size) {
		return nil
	}
	k := &call{slot: l.feeding.slot, size: size, action: a, fan: l.feeding.env.Broadcast || len(l.feeding.env.ClientIDs) > 0, ctx: l.feeding.ctx,
		deadline: l.wheel.now + l.timeout(s.cfg.ActionTimeout)}
	k.ctx.Context, k.cancel = context.WithTimeout(s.ctx, s.cfg.ActionTimeout)
	k.ctx.Client, k.ctx.Envelope = l.there(l.feeding.slot, l.feeding.cur), l.feeding.env.Clone()
	return k
}

// sizeOf is the memory of a copy of e.
func sizeOf(e *dispatch.Envelope) int {
	return len(e.Action) + len(e.Data) + len(e.Token) + len(e.Company) + len(e.Seq) + len(e.ClientIDs)*len(uuid.UUID{})
}

// endCall counts a call out once nobody works on it any more, which may be long
// after its client's wait for it has ended.
func (s *Server) endCall(k *call) {
	if k.counted.CompareAndSwap(false, true) {
		s.memory.freeRequest(k.size)
	}
}

// hold has the client wait for call k.
func (l *loop) hold(k *call) {
	l.extras.make(l.feeding.slot, l.feeding.cur).call = k
	l.weigh(l.feeding.cur)
	l.pooled.calls = append(l.pooled.calls, k)
}

// unhold ends that wait.
func (l *loop) unhold(k *call, c *client) {
	k.ended.Store(true)
	l.extras.of(c).call = nil
	l.weigh(c)
}

// begin hands the request to the workers.
func (l *loop) begin(a *dispatch.Action, out []byte) (_ []byte, held bool) {
	k := l.newCall(a)
	if k == nil || !l.employ(k) {
		l.count.n[nBusy]++
		return l.refuse(a, out, dispatch.Busy), false
	}
	l.yield = true
	l.hold(k)
	return out, true
}

// employ finds a worker for a call, or reports false.
func (l *loop) employ(k *call) bool {
	if err := l.server.workers.Submit(func() { l.server.work(l, k) }); err != nil {
		k.cancel()
		l.server.endCall(k)
		return false
	}
	return true
}

// work runs in a worker: the handler, and the answer's way back.
func (s *Server) work(l *loop, k *call) {
	defer s.endCall(k)
	defer k.cancel()
	if k.ended.Load() {
		return // the client left, or waited for too long, before a worker was free
	}
	began := time.Now()
	out, mark := conn.BeginFrame(nil)
	out, code := k.action.Call(&k.ctx, out)
	out = conn.EndFrame(out, mark, ws.OpText)
	took := time.Since(began)
	l.post(func(l *loop) {
		l.count.actions[k.action.Index].seconds.duration(took)
		l.answer(k, out, code)
	})
}

// answer sends what a worker found, and lets the client go on.
func (l *loop) answer(k *call, frame []byte, code dispatch.Code) {
	if k.ended.Load() {
		l.count.n[nLate]++
		return
	}
	l.count.actions[k.action.Index].codes[codeIndex(code)]++
	c := l.clients.at(k.slot)
	if k.fan && code == dispatch.OK {
		if !l.server.fanOut(k.ctx.Envelope, c.id, frame) {
			frame = nil
		}
	}
	l.resume(k, c, frame)
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

// checkCalls answers code 10 to clients whose handler takes too long. All have
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
			k.cancel()
		}
	}
	l.pooled.calls = slices.DeleteFunc(l.pooled.calls, func(k *call) bool { return k.ended.Load() })
}
