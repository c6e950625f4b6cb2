package server

import (
	"context"

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
	k := l.newJob(a)
	if k == nil {
		return l.refuse(a, out, dispatch.Busy), false
	}
	l.hold(&k.call)
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
			l.server.endCall(&k.call)
			continue
		}
		s := l.server
		l.expectAnswers()
		l.pooled.checking = s.workers.Submit(func() {
			k.ctx.Checked(s.identify(&k.ctx))
			l.post(func(l *loop) {
				l.pooled.checking = false
				l.verified(k)
				l.nextCheck()
			})
		}) == nil
		if !l.pooled.checking { // in its turn: its client may be the one that is being fed
			l.post(func(l *loop) { l.noWorker(k) })
		}
	}
}

// noWorker answers a request whose token nobody has time for.
func (l *loop) noWorker(k *job) {
	l.server.endCall(&k.call)
	if k.ended.Load() {
		return
	}
	l.count.n[nBusy]++
	l.resume(&k.call, l.clients.at(k.slot), l.busy10(&k.call))
}

// verified goes on with a request as if it had just come.
func (l *loop) verified(k *job) {
	l.server.endCall(&k.call)
	if k.ended.Load() {
		l.count.n[nLate]++
		return
	}
	c := l.clients.at(k.slot)
	k.life.end(context.Canceled)
	l.unhold(&k.call, c)
	l.feeding.slot, l.feeding.cur, l.feeding.env = k.slot, c, k.env
	l.feeding.ctx = k.ctx
	l.feeding.ctx.Context, l.feeding.ctx.Client, l.feeding.ctx.Envelope = l.server.ctx, (*here)(l), &l.feeding.env
	out, held := l.perform(k.action, l.out[:0], k.fan != nil)
	l.out = out
	if len(out) > 0 {
		l.send(k.slot, c, out)
	}
	if !held && c.state == stateOpen {
		l.readLater(k.slot, c)
	}
}
