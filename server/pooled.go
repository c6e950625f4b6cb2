package server

import (
	"context"
	"runtime"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
	"wsd/dispatch"
)

// The way of a request for a worker:
//
//  1. begin: its client is held, and the request, in memory of its own, goes to
//     the pool.
//  2. work: a worker runs the handler and posts the answer back.
//  3. letWork (inbox.go): at the end of its turn the loop lets the workers run.
//     What they answer by then costs no wake-up of anybody.
//  4. answer (call.go): the loop sends it, and the client is read on.

// job is a call that a worker has.
type job struct {
	call
	ctx dispatch.Context
	env dispatch.Envelope
}

// newJob makes a job of the request in l.feeding, with memory of its own. It is
// nil if requests under way may not take that much.
func (l *loop) newJob(a *dispatch.Action) *job {
	k := new(job)
	if !l.beginCall(&k.call, a, callCost+sizeOf(&l.feeding.env)) {
		return nil
	}
	k.env = *l.feeding.env.Clone()
	k.seq = k.env.Seq
	if k.env.Broadcast || len(k.env.ClientIDs) > 0 {
		k.fan = &k.env
	}
	k.ctx = l.feeding.ctx
	k.ctx.Context, k.ctx.Client, k.ctx.Envelope = &k.life, &k.there, &k.env
	return k
}

// sizeOf is the memory of a copy of e.
func sizeOf(e *dispatch.Envelope) int {
	return len(e.Action) + len(e.Data) + len(e.Token) + len(e.Company) + len(e.Seq) + len(e.ClientIDs)*len(uuid.UUID{})
}

// begin hands the request to the workers.
func (l *loop) begin(a *dispatch.Action, out []byte) (_ []byte, held bool) {
	k := l.newJob(a)
	if k == nil || !l.employ(k) {
		return l.refuse(a, out, dispatch.Busy), false
	}
	l.hold(&k.call)
	return out, true
}

// employ finds a worker for a job, or reports false. If all have got something,
// they get a chance to do it first: many quick requests at a time are not too many.
func (l *loop) employ(k *job) bool {
	l.expectAnswers()
	work := func() { l.server.work(k) }
	err := l.server.workers.Submit(work)
	if err != nil {
		runtime.Gosched()
		err = l.server.workers.Submit(work)
	}
	if err != nil {
		l.count.n[nBusy]++
		l.server.endCall(&k.call)
		return false
	}
	return true
}

// work runs in a worker.
func (s *Server) work(k *job) {
	defer s.endCall(&k.call)
	if k.ended.Load() {
		return // the client left, or waited for too long, before a worker was free
	}
	k.began = instant()
	s.precheck(k.action, &k.ctx)
	out, mark := conn.BeginFrame(make([]byte, 0, frameHint+len(k.env.Data)))
	out, k.code = k.action.Call(&k.ctx, out)
	k.frame = conn.EndFrame(out, mark, ws.OpText)
	k.took = instant() - k.began
	k.loop.giveBack(&k.call)
	k.life.end(context.Canceled)
}

// frameHint is room for an answer beside what its data may repeat of the request's.
const frameHint = 160
