package server

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gobwas/ws"

	"wsd/conn"
	"wsd/dispatch"
)

// Message is conn's call for each whole message: it runs inline actions,
// begins the others, and appends answers to out.
func (l *loop) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	c := l.feeding.cur
	l.count.n[nMessagesIn]++
	if !l.takeMessage(c) {
		return out, errMessageRate
	}
	c.set(flagSpoke)
	before := len(out)
	if c.is(flagEcho) {
		l.count.n[nMessagesOut]++
		if len(payload) > readSize {
			return l.echoOwn(op, payload, out)
		}
		out = conn.AppendFrame(out, op, payload)
	} else {
		var held bool
		if out, held = l.act(payload, out); held {
			return out, conn.ErrPause
		}
		if l.unproven(c, false) {
			return out, errUnproven
		}
	}
	if l.spend(messageWork+len(payload)+len(out)-before) || len(out) >= flushSize {
		return out, conn.ErrPause
	}
	return out, nil
}

// Control is conn's call for each ping, pong and close frame.
func (l *loop) Control(op ws.OpCode, payload []byte) error {
	l.count.n[nControlsIn]++
	if op != ws.OpClose && !l.takeControl(l.feeding.cur) {
		return errControlRate
	}
	if l.spend(messageWork + len(payload)) {
		return conn.ErrPause
	}
	return nil
}

// act runs one request. held: its answer comes later, and until then the
// client's next messages wait.
func (l *loop) act(msg, out []byte) (_ []byte, held bool) {
	env := &l.feeding.env
	if code := dispatch.Parse(msg, env); code != dispatch.OK {
		return l.refuse(nil, out, code), false
	}
	a := l.server.mux.Lookup(env.Action)
	if a == nil {
		return l.refuse(nil, out, dispatch.MethodNotFound), false
	}
	if l.server.auth.guarded {
		if code := l.mayDo(l.feeding.cur, a); code != dispatch.OK {
			return l.refuse(a, out, code), false
		}
	}
	fan := env.Broadcast || len(env.ClientIDs) > 0
	if a.Constant != nil && env.Seq == nil && !fan {
		l.count.actions[a.Index].codes[dispatch.OK]++
		l.count.n[nMessagesOut]++
		return append(out, l.server.constants[a.Index]...), false
	}
	if l.handover.drainingActions && !a.Inline || l.handover.fanoutPaused && fan {
		l.putOff(msg)
		return out, true
	}
	l.feeding.ctx = dispatch.Context{Context: l.server.ctx, Client: (*here)(l), Envelope: env}
	if l.mustVerify(a, fan) {
		if l.handover.drainingActions {
			l.putOff(msg)
			return out, true
		}
		return l.verify(a, out)
	}
	return l.perform(a, out, fan)
}

// perform runs the request in l.feeding.ctx, whose token takes no time.
func (l *loop) perform(a *dispatch.Action, out []byte, fan bool) (_ []byte, held bool) {
	if fan {
		code := l.mayFanOut(&l.feeding.ctx)
		if code == dispatch.OK && l.server.fanoutFull() {
			l.count.n[nBusy]++
			code = dispatch.Busy
		}
		if code != dispatch.OK {
			return l.refuse(a, out, code), false
		}
	}
	switch {
	case a.Later:
		return l.beginLater(a, out, fan)
	case !a.Inline:
		return l.begin(a, out)
	}
	start := len(out)
	out, mark := conn.BeginFrame(out)
	l.feeding.subscribed = nil
	out, code := l.call(a, out)
	l.feeding.code = code
	out = conn.EndFrame(out, mark, ws.OpText)
	topics := l.feeding.subscribed
	l.count.actions[a.Index].codes[codeIndex(code)]++
	if fan && code == dispatch.OK {
		keep := l.server.fanOut(&l.feeding.env, l.feeding.cur.id, append([]byte(nil), out[start:]...))
		if !keep {
			return out[:start], false
		}
	}
	if topics != nil && l.awaitReach(topics, out[start:]) {
		return out[:start], true
	}
	l.count.n[nMessagesOut]++
	return out, false
}

// call runs an inline handler, and times one call in 16.
func (l *loop) call(a *dispatch.Action, out []byte) ([]byte, dispatch.Code) {
	l.budget.work -= callWork
	l.server.precheck(a, &l.feeding.ctx)
	count := &l.count.actions[a.Index]
	count.calls++
	if !sampled(count.calls) {
		return a.Call(&l.feeding.ctx, out)
	}
	began := time.Now()
	out, code := a.Call(&l.feeding.ctx, out)
	count.seconds.duration(time.Since(began))
	return out, code
}

// refuse answers a request that no handler sees. a is its action, if there is one.
func (l *loop) refuse(a *dispatch.Action, out []byte, code dispatch.Code) []byte {
	l.feeding.code = code
	if a != nil {
		l.count.actions[a.Index].codes[codeIndex(code)]++
	} else {
		l.count.refusedActions[codeIndex(code)]++
	}
	l.count.n[nMessagesOut]++
	out, mark := conn.BeginFrame(out)
	out = dispatch.AppendAnswer(out, code, "", nil, l.feeding.env.Action, l.feeding.env.Seq)
	return conn.EndFrame(out, mark, ws.OpText)
}

// mayFanOut says whether the client may address others: if Config.ClientFanout
// lets everyone, or its token does: the request's, or else the one it came by.
func (l *loop) mayFanOut(ctx *dispatch.Context) dispatch.Code {
	if l.server.cfg.ClientFanout {
		return dispatch.OK
	}
	if len(ctx.Envelope.Token) == 0 {
		if l.mayFanOutAs(l.feeding.slot, l.feeding.cur) {
			return dispatch.OK
		}
		return dispatch.PermissionDenied
	}
	if err := l.server.identify(ctx); err != nil {
		code, _ := dispatch.CodeOf(err)
		return code
	}
	if id := identityOf(ctx.Identity); id != nil && id.Fanout {
		return dispatch.OK
	}
	return dispatch.PermissionDenied
}

// authenticate is Mux.Identify, with a panic in it as an error.
func (s *Server) authenticate(ctx *dispatch.Context) (err error) {
	defer s.caught("Authenticate", &err)
	return s.mux.Identify(ctx)
}

// identify is Mux.Identify for the loop, which must outlive a panic in it. A token
// that is revoked is invalid.
func (s *Server) identify(ctx *dispatch.Context) error {
	if err := s.authenticate(ctx); err != nil {
		return err
	}
	if s.revocations.count.Load() > 0 && len(ctx.Envelope.Token) > 0 {
		if who := identityOf(ctx.Identity); who != nil && s.revocations.covers(who) {
			return dispatch.ErrTokenInvalid
		}
	}
	return nil
}

// caught, deferred, turns a panic of the application's code into an error. The
// first one is logged with its stack: clients decide how many there are.
func (s *Server) caught(where string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = fmt.Errorf("panic in %s: %v", where, v)
	if s.panics.Add(1) == 1 {
		s.log.Error("the application panicked", "in", where, "panic", v, "stack", string(debug.Stack()))
	}
}

// fanOut sends an answer to the other clients that the request names, or to
// all. It says whether the sender is still to get its own.
func (s *Server) fanOut(env *dispatch.Envelope, sender [16]byte, frame []byte) (keep bool) {
	if env.Broadcast {
		s.tellAll(newDelivery(frame, All()))
		s.tellOthers(All(), frame)
		return false
	}
	others := env.ClientIDs[:0:0]
	for _, id := range env.ClientIDs {
		if id != sender {
			others = append(others, id)
		}
	}
	s.tellAll(newDelivery(frame, Target{clients: others}))
	s.tellOthers(Target{clients: others}, frame)
	return true
}

// tellAll is publish for a loop, which must not wait.
func (s *Server) tellAll(d *delivery) {
	if d.fan = len(d.target.clients); d.target.all {
		d.fan = int(s.population.connected.Load())
	}
	d.fan = max(d.fan, 1)
	s.memory.holdFrame(d)
	s.backlog.add(len(d.frame), d.fan)
	_ = s.spread(d) // if the server has stopped there is nobody to tell
}
