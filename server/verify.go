package server

import (
	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

// The way of a request whose token takes long to look at (dispatch.Mux.Recall):
//
//  1. verify: its client is held, and it waits in loop.pooled.checks.
//  2. nextCheck: a worker gets the first of them. Each loop has one at a time with
//     the workers: more would take processors from loops, and workers from handlers.
//  3. verified: the request goes on where it stopped, and the next is begun.

// checksAtOnce bounds the requests of a loop that wait for this: beyond it the
// answer is code 10. It is some tenths of a second's work.
const checksAtOnce = 4096

// mustVerify says whether the request in l.feeding.ctx has to wait for its token.
func (l *loop) mustVerify(a *dispatch.Action, fan bool) bool {
	return (a.NeedsToken || fan && !l.server.cfg.ClientFanout) && !l.server.mux.Quick(&l.feeding.ctx)
}

// verify holds the client until a worker has looked at its request's token.
func (l *loop) verify(a *dispatch.Action, out []byte) (_ []byte, held bool) {
	if len(l.pooled.checks) >= checksAtOnce {
		l.count.n[nBusy]++
		return l.refuse(a, out, dispatch.Busy), false
	}
	k := l.newCall(a)
	if k == nil {
		l.count.n[nBusy]++
		return l.refuse(a, out, dispatch.Busy), false
	}
	l.hold(k)
	l.pooled.checks = append(l.pooled.checks, k)
	l.nextCheck()
	return out, true
}

// nextCheck has a worker look at the next token, unless one is at it.
func (l *loop) nextCheck() {
	for !l.pooled.checking && len(l.pooled.checks) > 0 {
		k := l.pooled.checks[0]
		l.pooled.checks[0] = nil
		l.pooled.checks = l.pooled.checks[1:]
		if k.ended.Load() { // the client left, or waited for too long
			l.server.endCall(k)
			continue
		}
		s := l.server
		l.pooled.checking = s.workers.Submit(func() {
			k.ctx.Checked(s.identify(&k.ctx))
			l.post(func(l *loop) {
				l.pooled.checking = false
				l.verified(k)
				l.nextCheck()
			})
		}) == nil
		if l.pooled.checking {
			l.yield = true
		} else { // in its turn: its client may be the one that is being fed
			l.post(func(l *loop) { l.noWorker(k) })
		}
	}
}

// noWorker answers a request whose token nobody has time for.
func (l *loop) noWorker(k *call) {
	l.server.endCall(k)
	if k.ended.Load() {
		return
	}
	l.count.n[nBusy]++
	l.resume(k, l.clients.at(k.slot), l.busy10(k))
}

// verified goes on with a request as if it had just come.
func (l *loop) verified(k *call) {
	l.server.endCall(k)
	if k.ended.Load() {
		l.count.n[nLate]++
		return
	}
	c := l.clients.at(k.slot)
	k.cancel()
	l.unhold(k, c)
	l.feeding.slot, l.feeding.cur, l.feeding.env = k.slot, c, *k.ctx.Envelope
	l.feeding.ctx = k.ctx
	l.feeding.ctx.Context, l.feeding.ctx.Client, l.feeding.ctx.Envelope = l.server.ctx, (*here)(l), &l.feeding.env
	out, held := l.perform(k.action, l.out[:0], k.fan)
	l.out = out
	if len(out) > 0 {
		l.send(k.slot, c, out)
	}
	if !held && c.state == stateOpen {
		l.readLater(k.slot, c)
	}
}

// busy10 is the answer to a call that does not come to its end.
func (l *loop) busy10(k *call) []byte {
	l.count.actions[k.action.Index].codes[codeIndex(dispatch.Busy)]++
	out, mark := conn.BeginFrame(nil)
	out = dispatch.AppendAnswer(out, dispatch.Busy, "", nil, k.ctx.Envelope.Action, k.ctx.Envelope.Seq)
	return conn.EndFrame(out, mark, ws.OpText)
}
