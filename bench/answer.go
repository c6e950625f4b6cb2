package bench

import (
	"github.com/gobwas/ws"
)

// Message takes one message from the server, for the client being fed. It
// allocates nothing. In a closed loop the next request goes into out.
func (e *engine) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	c := &e.clients[e.cur]
	if c.behaviour != wellBehaved {
		return out, nil
	}
	ph := &e.phase
	ph.counts.BytesIn += uint64(len(payload))
	if ph.publishing {
		if n, at, ok := e.fan.read(payload); ok {
			e.delivered(c, n, at)
			return out, nil
		}
	}
	if c.has(flagFirst) {
		e.firstAnswer(c)
		return out, nil
	}
	if !e.answered(c, op, payload) {
		return out, nil
	}
	if ph.closed && e.now < ph.end && c.has(flagActive) {
		// A server that answers what it has not read could have us write for ever.
		most := max(requestsAtMost, ph.spec.Depth*len(ph.template.frames[0].bytes))
		if len(out) >= most || !e.roomFor(c, most) {
			ph.counts.Unsent++
			return out, nil
		}
		ph.number++
		e.pend.push(c, e.now, e.now, ph.number)
		ph.counts.Sent++
		ph.counts.BytesOut += uint64(len(ph.template.payload))
		out = append(out, ph.template.frame(e.cur, ph.number)...)
	}
	return out, nil
}

// answered finds the request that a message answers and takes its time; false
// if there is none.
func (e *engine) answered(c *client, op ws.OpCode, payload []byte) bool {
	ph := &e.phase
	var n pending
	var ok bool
	number, numbered := uint32(0), false
	if ph.template.at >= 0 {
		number, numbered = ph.template.numberIn(payload)
	}
	if numbered {
		n, ok = e.pend.take(c, number)
	} else {
		n, ok = e.pend.pop(c)
	}
	if !ok {
		e.unsolicited(c, number, numbered)
		return false
	}
	if !ph.template.right(op, payload) || ph.template.at >= 0 && !numbered {
		ph.counts.WrongAnswers++
	}
	if n.overtaken {
		ph.counts.Reordered++
	}
	ph.counts.Messages++
	ph.lastAnswer = e.now
	ph.latency.Record(e.now - n.intended)
	if ph.open {
		ph.uncorrected.Record(e.now - n.sent)
	}
	return true
}

// unsolicited counts a message that answers nothing outstanding.
func (e *engine) unsolicited(c *client, number uint32, numbered bool) {
	counts := &e.phase.counts
	switch {
	case numbered && number > e.phase.numberBase && number <= e.phase.number:
		counts.Duplicates++
	case c.missing > 0:
		c.missing--
		counts.Late++
	case e.phase.open || e.phase.closed:
		counts.Duplicates++
	default:
		counts.Unsolicited++
	}
}

// Control is told of control frames; Feed answers them.
func (e *engine) Control(op ws.OpCode, payload []byte) error {
	c := &e.clients[e.cur]
	if op == ws.OpPing {
		e.pinged++
	}
	switch {
	case c.behaviour != wellBehaved:
	case op == ws.OpPing:
		e.phase.counts.Pings++
	case op == ws.OpPong:
		e.phase.counts.Pongs++
	}
	return nil
}

// sendFirst sends the plan's first message.
func (e *engine) sendFirst(slot uint32, c *client) {
	c.mark(e.now)
	e.write(slot, c, e.phase.first.frame(slot, 0))
}

func (e *engine) firstAnswer(c *client) {
	c.clear(flagFirst)
	e.phase.firstTime.Record(e.now - c.marked())
	e.joined(e.cur, c)
}
