package bench

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsd/conn"
	"wsd/netpoll"
)

// response looks at what came in answer to the request. It returns what is
// left for the frames, and whether the client is open.
func (e *engine) response(slot uint32, c *client, in []byte) (rest []byte, ok bool) {
	n, status, err := conn.CheckResponse(in, e.nonce(slot, c.gen))
	for status/100 == 1 && status != 101 && n > 0 {
		in = in[n:] // an interim answer (RFC 9110, 15.2): the final one comes
		n, status, err = conn.CheckResponse(in, e.nonce(slot, c.gen))
	}
	if err == nil && n > 0 {
		err = e.checkProtocol(in[:n])
	}
	switch {
	case err != nil:
		kind := err.Error()
		if status != 0 && status != 101 {
			e.phase.counts.Statuses.Add(strconv.Itoa(status), 1)
			if to := conn.ResponseField(in[:n], "Location"); status/100 == 3 && to != nil {
				kind = fmt.Sprintf("redirected to %.100q, which is not followed: give that URL", redact(string(to)))
			}
		}
		e.failed(slot, c, kind)
		return nil, false
	case n == 0 && len(in) == 0:
		e.bufs.drop(&c.in)
		return nil, false
	case n == 0:
		e.keep(slot, c, in)
		return nil, false
	}
	e.bufs.drop(&c.in)
	e.established(slot, c)
	return in[n:], c.phase == open
}

var errProtocol = errors.New("server chose a subprotocol that was not offered")

// checkProtocol refuses a subprotocol that is none of those offered (RFC 6455,
// 4.1), which are told apart by their case.
func (e *engine) checkProtocol(header []byte) error {
	const name = "Sec-WebSocket-Protocol"
	chosen := conn.ResponseField(header, name)
	if chosen == nil {
		return nil
	}
	times := 0
	for line := range bytes.Lines(header) {
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			times++
		}
	}
	if times > 1 || !slices.Contains(e.part.Protocols, string(chosen)) { // more than one: 11.3.4
		return errProtocol
	}
	return nil
}

// offered are the subprotocols that a handshake's fields offer.
func offered(fields []string) (all []string) {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		if !strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			continue
		}
		for p := range strings.SplitSeq(value, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all
}

// established: the server switched protocols.
func (e *engine) established(slot uint32, c *client) {
	e.phase.upgrade.Record(e.now - c.marked())
	e.phase.handshake.Record(e.now - c.since)
	c.phase = open
	c.tries = 0
	if c.behaviour != wellBehaved {
		e.begun(slot, c)
		return
	}
	e.phase.counts.Handshakes++
	if e.part.Plan.First == "" {
		e.joined(slot, c)
		return
	}
	c.set(flagFirst)
	e.sendFirst(slot, c)
}

// joined: the client is fully there, its first answer included.
func (e *engine) joined(slot uint32, c *client) {
	e.dialer.inflight--
	e.up++
	if c.has(flagReturning) {
		c.clear(flagReturning)
		e.phase.back.Record(e.now - e.phase.droppedAt)
		e.phase.away--
	}
	c.seen = e.lastPublished()
	e.enlist(slot, c)
}

// expire ends a handshake that took too long.
func (e *engine) expire(slot uint32, c *client) {
	if c.phase == dialing || c.phase == upgrading || c.has(flagFirst) {
		e.failed(slot, c, "handshake timed out")
	}
}

// failed ends an attempt to connect; another follows unless there were too many.
func (e *engine) failed(slot uint32, c *client, kind string) {
	if c.behaviour != wellBehaved {
		e.refused(slot, c, kind)
		return
	}
	e.phase.counts.Errors.Add(kind, 1)
	e.dialer.inflight--
	e.release(c)
	if int(c.tries) >= e.part.Plan.Retries {
		c.phase = gone
		e.phase.counts.Failed++
		if c.has(flagReturning) {
			c.clear(flagReturning)
			e.phase.away--
		}
		return
	}
	c.tries++
	e.phase.counts.Retries++
	c.phase = down
	pause := int64(50*time.Millisecond) << min(c.tries, 6)
	e.after(pause/2+e.rng.Int64N(pause), slot, c, dueDial)
}

// release gives back what a connection holds: descriptor, buffers, requests.
// The peer sees a reset; after shut, an orderly end.
func (e *engine) release(c *client) (outstanding int) {
	if c.fd >= 0 {
		netpoll.Abort(int(c.fd))
	}
	return e.forget(c)
}

// shut is release with an orderly end of the stream.
func (e *engine) shut(c *client) (outstanding int) {
	if c.fd >= 0 {
		netpoll.Close(int(c.fd))
	}
	return e.forget(c)
}

func (e *engine) forget(c *client) (outstanding int) {
	c.fd = -1
	c.gen++
	c.clear(flagFirst)
	e.bufs.drop(&c.in)
	e.bufs.drop(&c.out)
	return e.pend.drop(c)
}
