package server

import (
	"context"
	"slices"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

// The way of a request that is answered later (dispatch.Later):
//
//  1. beginLater: its client is held, and the handler runs on the loop.
//  2. Answer: anybody posts the answer back, once.
//  3. answer (call.go): the loop sends it, and the client is read on.

// laterCost is what a request that waits for its answer counts beside its own
// bytes: the call, and its client's extra.
const laterCost = 512

// beginLater runs the handler. If it answers at once, that is taken at the end of
// this turn: see letWork.
func (l *loop) beginLater(a *dispatch.Action, out []byte, fan bool) (_ []byte, held bool) {
	env := &l.feeding.env
	size := laterCost + len(env.Seq)
	if fan {
		size += sizeOf(env)
	}
	k := new(call)
	if !l.beginCall(k, a, size) {
		return l.refuse(a, out, dispatch.Busy), false
	}
	k.seq, k.began = slices.Clone(env.Seq), instant()
	if fan {
		k.fan = env.Clone()
	}
	l.budget.work -= callWork
	l.hold(k)
	l.expectAnswers()
	l.feeding.ctx.Context, l.feeding.subscribed = &k.life, nil
	l.server.precheck(a, &l.feeding.ctx)
	a.Begin(&l.feeding.ctx, k)
	k.topics, l.feeding.subscribed = l.feeding.subscribed, nil
	return out, true
}

// Context is for dispatch.Pending, as the next two are.
func (k *call) Context() context.Context { return &k.life }

func (k *call) Client() dispatch.Client { return &k.there }

func (k *call) Answer(build func(out, seq []byte) ([]byte, dispatch.Code)) error {
	if !k.answered.CompareAndSwap(false, true) {
		k.loop.post(func(l *loop) { l.count.n[nTwice]++ })
		return dispatch.ErrAnswered
	}
	gone := k.ended.Load()
	if !gone {
		out, mark := conn.BeginFrame(make([]byte, 0, frameHint))
		out, k.code = build(out, k.seq)
		k.frame = conn.EndFrame(out, mark, ws.OpText)
	}
	k.took = instant() - k.began
	if !k.loop.giveBack(k) || gone {
		return dispatch.ErrGone
	}
	return nil
}
