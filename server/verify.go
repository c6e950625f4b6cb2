package server

import (
	"context"

	"wsd/dispatch"
)

// The way of a request, or a handshake (newcomer.go), whose token takes long to look
// at (dispatch.Mux.Recall):
//
//  1. verify: its client is held, and it waits in loop.pooled.checks.
//  2. nextCheck: a worker gets the first of them, some at once, for waking it and being
//     woken by it costs as well. Each loop has one worker at a time: more would take
//     processors from loops, and workers from handlers. A Config.Authenticate, which
//     may wait for others, has several, with one each.
//  3. looked: the requests go on where they stopped, and the next are begun.

const (
	// checksAtOnce bounds the requests and handshakes of a loop that wait for this:
	// beyond it the answer is code 10, or 503. It is some tenths of a second's work.
	checksAtOnce = 4096
	// checksTogether is how many a worker gets: the first of them waits for the last,
	// for less than a millisecond (BenchmarkVerify in auth).
	checksTogether = 8
	// hooksAtOnce is how many of them are with the workers if that may take long.
	hooksAtOnce = 16
)

// check is something that waits for a worker's look. The loop calls all of these but
// look.
type check interface {
	over(*loop) bool // nobody waits for it any more
	drop(*loop)      // it is not begun: it is over
	look(*Server)    // in a worker
	looked(*loop)    // afterwards
	noWorker(*loop)  // nobody has time for it
}

// mustVerify says whether the request in l.feeding.ctx has to wait for its token.
func (l *loop) mustVerify(a *dispatch.Action, fan bool) bool {
	return (a.NeedsToken || fan && !l.server.cfg.ClientFanout) && !l.server.quick(&l.feeding.ctx)
}

// quick is Mux.Quick for the loop, which must outlive a panic in Mux.Recall: that is
// an answer, too.
func (s *Server) quick(ctx *dispatch.Context) (known bool) {
	var panicked error
	defer func() {
		if panicked != nil {
			ctx.Checked(panicked)
			known = true
		}
	}()
	defer s.caught("Recall", &panicked)
	return s.mux.Quick(ctx)
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

// nextCheck has workers look at the next tokens, unless enough are at it.
func (l *loop) nextCheck() {
	most, together := 1, checksTogether
	if l.server.cfg.Authenticate != nil {
		most, together = hooksAtOnce, 1
	}
	for l.pooled.looking < most {
		some := l.takeChecks(together)
		if len(some) == 0 {
			return
		}
		s := l.server
		l.yield = true
		l.pooled.looking++
		if s.workers.Submit(func() {
			for _, k := range some {
				k.look(s)
			}
			l.post(func(l *loop) {
				l.pooled.looking--
				for _, k := range some {
					k.looked(l)
				}
				l.nextCheck()
			})
		}) != nil { // in its turn: its client may be the one that is being fed
			l.pooled.looking--
			l.post(func(l *loop) {
				for _, k := range some {
					k.noWorker(l)
				}
			})
		}
	}
}

// takeChecks takes up to n of those that wait, and drops those that are over.
func (l *loop) takeChecks(n int) (some []check) {
	for len(some) < n && len(l.pooled.checks) > 0 {
		k := l.pooled.checks[0]
		l.pooled.checks[0] = nil
		l.pooled.checks = l.pooled.checks[1:]
		if k.over(l) {
			k.drop(l)
			continue
		}
		some = append(some, k)
	}
	return some
}

func (k *job) over(*loop) bool { return k.ended.Load() } // the client left, or waited for too long

func (k *job) drop(l *loop) { l.server.endCall(&k.call) }

func (k *job) look(s *Server) { k.ctx.Checked(s.identify(&k.ctx)) }

// noWorker answers a request whose token nobody has time for.
func (k *job) noWorker(l *loop) {
	l.server.endCall(&k.call)
	if k.ended.Load() {
		return
	}
	l.count.n[nBusy]++
	l.resume(&k.call, l.clients.at(k.slot), l.busy10(&k.call))
}

// looked goes on with a request as if it had just come.
func (k *job) looked(l *loop) {
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
	if l.unproven(c, held) {
		l.fail(k.slot, c, ReasonUnauthorized, errUnproven.Code, errUnproven.Reason)
	}
	if !held && c.state == stateOpen {
		l.readLater(k.slot, c)
	}
}
