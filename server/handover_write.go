package server

import (
	"time"

	"wsd/handoff"
	"wsd/netpoll"
)

// stateWriter sends records, many in one message, and the descriptors of the
// clients among them along.
type stateWriter struct {
	link  *Link
	fault func() // called once, about midway
	extra []byte // of the application
	// cluster is the node's.
	cluster []byte
	buf     []byte
	fds     []int
	bytes   int64
	now     int64 // the instant that all times are as of
	end     handoff.End
}

// room for one more client of usual size stays below linkMessage.
const writeBatch = linkMessage - 4<<10

// flushFull sends what there is if it is a message's worth.
func (w *stateWriter) flushFull() error {
	if len(w.buf) < writeBatch && len(w.fds) < netpoll.MostRights {
		return nil
	}
	return w.flush()
}

// flush sends all there is. Descriptors go with the first message, so they are
// there no later than their records.
func (w *stateWriter) flush() error {
	fds := w.fds
	for p := w.buf; len(p) > 0; {
		n := min(len(p), linkMessage-1)
		if err := w.link.say(handoff.MessageState, p[:n], fds); err != nil {
			return err
		}
		p, fds = p[n:], nil
	}
	w.bytes += int64(len(w.buf))
	w.buf, w.fds = w.buf[:0], w.fds[:0]
	if cap(w.buf) > 1<<20 {
		w.buf = nil
	}
	return nil
}

// writeDown writes the whole server, whose loops stand still, and changes
// nothing in it.
func (s *Server) writeDown(w *stateWriter) error {
	w.now = instant()
	w.buf = s.record(w.now).Append(w.buf)
	frames, err := s.writeFrames(w)
	if err != nil {
		return err
	}
	half := s.population.connected.Load() / 2
	var r handoff.Client
	for _, l := range s.loops {
		for slot := range l.clients.size() {
			c := l.clients.at(slot)
			if c.state == stateFree {
				continue
			}
			l.record(slot, c, w.now, frames, &r)
			w.buf = r.Append(w.buf)
			w.fds = append(w.fds, int(c.fd))
			if err := w.flushFull(); err != nil {
				return err
			}
			if w.end.Clients++; int64(w.end.Clients) == half {
				if err := w.flush(); err != nil {
					return err
				}
				w.fault()
			}
		}
	}
	if len(w.extra) > 0 {
		b := handoff.Blob{Name: handoff.BlobApplication, Value: w.extra}
		w.buf = b.Append(w.buf)
	}
	if len(w.cluster) > 0 {
		b := handoff.Blob{Name: handoff.BlobCluster, Value: w.cluster}
		w.buf = b.Append(w.buf)
	}
	if list := s.revocations.append(nil); len(list) > 0 {
		b := handoff.Blob{Name: handoff.BlobRevocations, Value: list, Needed: true}
		w.buf = b.Append(w.buf)
	}
	w.buf = w.end.Append(w.buf)
	return w.flush()
}

func (s *Server) record(now int64) *handoff.Server {
	sum := counters{actions: make([]actionCounters, len(s.constants))}
	for _, l := range s.loops {
		sum.add(&l.count, s.mux.Actions())
	}
	sum.n[nPostsRefused] += s.backlog.refused.Load()
	sum.publishSeconds.counts[0] += s.unmatched.Load()
	return &handoff.Server{Frozen: now, Uptime: max(int64(time.Since(s.began)), 0), Publishes: s.publishes.Load(),
		Panics: s.panics.Load(), Counters: sum.write(s.mux.Actions())}
}

// writeFrames writes the published messages that some client still waits for,
// once each, however many that are.
func (s *Server) writeFrames(w *stateWriter) (map[*delivery]uint64, error) {
	frames := map[*delivery]uint64{}
	for _, l := range s.loops {
		for _, slot := range l.slow.stuck {
			c := l.clients.at(slot)
			if !c.is(flagStuck) {
				continue // freed
			}
			for n := c.head; n != 0; n = l.queue.at(n).next {
				d := l.queue.at(n).from
				if _, known := frames[d]; known || d == nil {
					continue
				}
				frames[d] = w.end.Frames
				w.end.Frames++
				f := handoff.Frame{Left: handoff.LeftUntil(d.deadline, w.now), Coalesce: d.coalesce, Frame: d.frame}
				w.buf = f.Append(w.buf)
				if err := w.flushFull(); err != nil {
					return nil, err
				}
			}
		}
	}
	return frames, nil
}

// record writes a client down into r, whose slices alias what is the client's.
func (l *loop) record(slot uint32, c *client, now int64, frames map[*delivery]uint64, r *handoff.Client) {
	*r = handoff.Client{
		ID: c.id, Addr: c.addr, Port: c.port, Age: max(now-c.since, 0), Silence: int64(l.wheel.now-c.stamp) * int64(l.tick),
		State: wireStates[c.state], Flags: l.wireFlags(c), Proxy: c.proxyFlags(),
		Buckets: [3]float32{c.messages, c.bytes, c.controls}, Refilled: l.millis() - c.refilled,
		Queue: r.Queue[:0],
	}
	_, _ = c.proto.AppendBinary(r.Conn[:0]) // never fails
	if c.is(flagSubscribed) {
		r.Topics = l.topics.Of(slot)
	}
	if e := l.extras.of(c); e != nil {
		r.Leftover, r.Waiting = e.leftover[e.done:], e.waiting
		if e.unfinished {
			r.MessageAge = max(int64(l.wheel.now-e.began)*int64(l.tick), 1) // 0 is none
		}
	}
	if c.state == stateOpen && c.is(flagKnown|flagUnproven) {
		l.recordIdentity(slot, c, r)
	}
	for n := c.head; n != 0; n = l.queue.at(n).next {
		nd := l.queue.at(n)
		out := handoff.Queued{Age: int64(l.wheel.now-nd.since) * int64(l.tick), Data: nd.data}
		if nd.drop {
			out.Flags |= handoff.QueuedDrop
		}
		if nd.from != nil {
			out.Flags |= handoff.QueuedShared
			out.Frame, out.Left, out.Data = frames[nd.from], uint64(len(nd.data)), nil
		}
		r.Queue = append(r.Queue, out)
	}
}

func (l *loop) wireFlags(c *client) (w handoff.Flags) {
	for _, f := range wiredFlags {
		if c.is(f.flag) {
			w |= f.wire
		}
	}
	if c.is(flagAgain) || l.held(c) {
		w |= handoff.FlagAgain
	}
	return w
}

func (c *client) proxyFlags() (w handoff.ProxyFlags) {
	for _, f := range proxyFlags {
		if c.is(f.flag) {
			w |= f.wire
		}
	}
	return w
}

// proxyFlags are those that clients have who came through a proxy.
var proxyFlags = [...]struct {
	flag flags
	wire handoff.ProxyFlags
}{
	{flagProxyHeader, handoff.ProxyHeaderDue}, {flagProxy, handoff.ProxyAddress},
}

// wiredFlags are those that mean the same in both processes.
var wiredFlags = [...]struct {
	flag flags
	wire handoff.Flags
}{
	{flagEcho, handoff.FlagEcho}, {flagPinged, handoff.FlagPinged}, {flagSpoke, handoff.FlagSpoke},
	{flagFinish, handoff.FlagFinish}, {flagRefused, handoff.FlagRefused},
}

// wireStates are the states that a client may be in when the loops stand still.
var wireStates = [...]handoff.State{
	stateJoining: handoff.StateJoining, stateRefused: handoff.StateRefused, stateOpen: handoff.StateOpen,
	stateClosing: handoff.StateClosing, stateLingering: handoff.StateLingering,
}
