package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
	"wsd/dispatch"
)

// Identity is what a token proves. An authenticator (dispatch.Mux.Authenticate)
// that returns one lets the server know whom it may trust with what.
type Identity struct {
	// Subject names the user.
	Subject string
	// Fanout: this client may use is_broadcast and client_ids.
	Fanout bool
}

// Message is conn's call for each whole message: it runs inline actions, hands
// pooled ones to the workers, and appends answers to out.
func (l *loop) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	c := l.cur
	l.count.messagesIn++
	if !l.takeMessage(c) {
		return out, errMessageRate
	}
	c.set(flagSpoke)
	before := len(out)
	if c.is(flagEcho) {
		l.count.messagesOut++
		out = conn.AppendFrame(out, op, payload)
	} else {
		var held bool
		if out, held = l.act(payload, out); held {
			return out, conn.ErrPause
		}
	}
	if l.spend(messageWork+len(payload)+len(out)-before) || len(out) >= flushSize {
		return out, conn.ErrPause
	}
	return out, nil
}

// Control is conn's call for each ping, pong and close frame.
func (l *loop) Control(op ws.OpCode, payload []byte) error {
	l.count.controlsIn++
	if op != ws.OpClose && !l.takeControl(l.cur) {
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
	env := &l.env
	if code := dispatch.Parse(msg, env); code != dispatch.OK {
		return l.refuse(nil, out, code), false
	}
	a := l.server.mux.Lookup(env.Action)
	if a == nil {
		return l.refuse(nil, out, dispatch.MethodNotFound), false
	}
	fan := env.Broadcast || len(env.ClientIDs) > 0
	if a.Constant != nil && env.Seq == nil && !fan {
		l.count.actions[a.Index].codes[dispatch.OK]++
		l.count.messagesOut++
		return append(out, l.server.constants[a.Index]...), false
	}
	if l.settling && !a.Inline || l.hushed && fan {
		l.putOff(msg)
		return out, true
	}
	l.ctx = dispatch.Context{Context: l.server.ctx, Client: (*here)(l), Envelope: env}
	if l.mustVerify(a, fan) {
		if l.settling {
			l.putOff(msg)
			return out, true
		}
		return l.verify(a, out)
	}
	return l.perform(a, out, fan)
}

// perform runs the request in l.ctx, whose token takes no time.
func (l *loop) perform(a *dispatch.Action, out []byte, fan bool) (_ []byte, held bool) {
	if fan {
		code := l.mayFanOut(&l.ctx)
		if code == dispatch.OK && l.server.backlog.full() {
			l.count.busy++
			code = dispatch.Busy
		}
		if code != dispatch.OK {
			return l.refuse(a, out, code), false
		}
	}
	if !a.Inline {
		return l.begin(a, out)
	}
	start := len(out)
	out, mark := conn.BeginFrame(out)
	out, code := l.call(a, out)
	out = conn.EndFrame(out, mark, ws.OpText)
	l.count.actions[a.Index].codes[codeIndex(code)]++
	if fan && code == dispatch.OK {
		keep := l.server.fanOut(&l.env, l.cur.id, append([]byte(nil), out[start:]...))
		if !keep {
			return out[:start], false
		}
	}
	l.count.messagesOut++
	return out, false
}

// call runs an inline handler, and now and then takes its time.
func (l *loop) call(a *dispatch.Action, out []byte) ([]byte, dispatch.Code) {
	l.budget.work -= callWork
	count := &l.count.actions[a.Index]
	count.calls++
	if !sampled(count.calls) {
		return a.Call(&l.ctx, out)
	}
	began := time.Now()
	out, code := a.Call(&l.ctx, out)
	count.seconds.duration(time.Since(began))
	return out, code
}

// refuse answers a request that no handler sees. a is its action, if there is one.
func (l *loop) refuse(a *dispatch.Action, out []byte, code dispatch.Code) []byte {
	if a != nil {
		l.count.actions[a.Index].codes[codeIndex(code)]++
	} else {
		l.count.refusedActions[codeIndex(code)]++
	}
	l.count.messagesOut++
	out, mark := conn.BeginFrame(out)
	out = dispatch.AppendAnswer(out, code, "", nil, l.env.Action, l.env.Seq)
	return conn.EndFrame(out, mark, ws.OpText)
}

// mayFanOut: addressing other clients is for everyone, if the operator says
// so, or for those whose token does.
func (l *loop) mayFanOut(ctx *dispatch.Context) dispatch.Code {
	if l.server.cfg.ClientFanout {
		return dispatch.OK
	}
	if len(ctx.Envelope.Token) == 0 {
		return dispatch.PermissionDenied
	}
	if err := l.server.identify(ctx); err != nil {
		code, _ := dispatch.CodeOf(err)
		return code
	}
	if id, ok := ctx.Identity.(Identity); ok && id.Fanout {
		return dispatch.OK
	}
	return dispatch.PermissionDenied
}

// identify is Mux.Identify for the loop, which must outlive a panic in it.
func (s *Server) identify(ctx *dispatch.Context) (err error) {
	defer s.caught("Authenticate", &err)
	return s.mux.Identify(ctx)
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
		return false
	}
	others := env.ClientIDs[:0:0]
	for _, id := range env.ClientIDs {
		if id != sender {
			others = append(others, id)
		}
	}
	s.tellAll(newDelivery(frame, Target{clients: others}))
	return true
}

// tellAll is publish for a loop, which must not wait.
func (s *Server) tellAll(d *delivery) {
	if d.fan = len(d.target.clients); d.target.all {
		d.fan = int(s.connected.Load())
	}
	d.fan = max(d.fan, 1)
	s.memory.holdFrame(d)
	if s.backlog.add(len(d.frame), d.fan); !s.spread(d) {
		s.passed(d)
	}
}

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

// newCall makes a call of the request in l.ctx, with memory of its own. It is nil
// if requests under way may not take that much.
func (l *loop) newCall(a *dispatch.Action) *call {
	s := l.server
	size := callCost + sizeOf(&l.env)
	if !s.memory.chargeRequest(size) {
		return nil
	}
	k := &call{slot: l.slot, size: size, action: a, fan: l.env.Broadcast || len(l.env.ClientIDs) > 0, ctx: l.ctx,
		deadline: l.wheel.now + l.timeout(s.cfg.ActionTimeout)}
	k.ctx.Context, k.cancel = context.WithTimeout(s.ctx, s.cfg.ActionTimeout)
	k.ctx.Client, k.ctx.Envelope = l.there(l.slot, l.cur), l.env.Clone()
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
	l.extras.make(l.slot, l.cur).call = k
	l.weigh(l.cur)
	l.calls = append(l.calls, k)
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
		l.count.busy++
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
		l.count.late++
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
		l.count.messagesOut++
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
	for _, k := range l.calls {
		if !k.ended.Load() {
			if before(l.wheel.now, k.deadline) {
				break
			}
			l.count.timeouts++
			l.resume(k, l.clients.at(k.slot), l.busy10(k))
			k.cancel()
		}
	}
	l.calls = slices.DeleteFunc(l.calls, func(k *call) bool { return k.ended.Load() })
}
