package server

import (
	"time"

	"wsd/netpoll"
)

// estateWriter sends records, many in one message, and the descriptors of the
// clients among them along.
type estateWriter struct {
	link  *Link
	fault func() // called once, about midway
	extra []byte // of the application
	buf   []byte
	fds   []int
	bytes int64
	now   int64 // the instant that all times are as of
	end   endRecord
}

// room for one more client of usual size stays below linkMessage.
const writeBatch = linkMessage - 4<<10

// flushFull sends what there is if it is a message's worth.
func (w *estateWriter) flushFull() error {
	if len(w.buf) < writeBatch && len(w.fds) < netpoll.MostRights {
		return nil
	}
	return w.flush()
}

// flush sends all there is. Descriptors go with the first message, so they are
// there no later than their records.
func (w *estateWriter) flush() error {
	fds := w.fds
	for p := w.buf; len(p) > 0; {
		n := min(len(p), linkMessage-1)
		if err := w.link.say(sayState, p[:n], fds); err != nil {
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
func (s *Server) writeDown(w *estateWriter) error {
	w.now = instant()
	w.buf = appendServer(w.buf, s.record(w.now))
	frames, err := s.writeFrames(w)
	if err != nil {
		return err
	}
	half := s.population.connected.Load() / 2
	var r clientRecord
	for _, l := range s.loops {
		for slot := range l.clients.size() {
			c := l.clients.at(slot)
			if c.state == stateFree {
				continue
			}
			l.record(slot, c, w.now, frames, &r)
			w.buf = appendClient(w.buf, &r)
			w.fds = append(w.fds, int(c.fd))
			if err := w.flushFull(); err != nil {
				return err
			}
			if w.end.clients++; int64(w.end.clients) == half {
				if err := w.flush(); err != nil {
					return err
				}
				w.fault()
			}
		}
	}
	if len(w.extra) > 0 {
		w.buf = appendExtra(w.buf, w.extra)
	}
	w.buf = appendEnd(w.buf, &w.end)
	return w.flush()
}

func (s *Server) record(now int64) *serverRecord {
	sum := counters{actions: make([]actionCounters, len(s.constants))}
	for _, l := range s.loops {
		sum.add(&l.count, s.mux.Actions())
	}
	sum.n[nPostsRefused] += s.backlog.refused.Load()
	sum.publishSeconds.counts[0] += s.unmatched.Load()
	return &serverRecord{frozen: now, uptime: max(int64(time.Since(s.began)), 0), publishes: s.publishes.Load(),
		panics: s.panics.Load(), counters: sum.write(s.mux.Actions())}
}

// writeFrames writes the published messages that some client still waits for,
// once each, however many that are.
func (s *Server) writeFrames(w *estateWriter) (map[*delivery]uint64, error) {
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
				frames[d] = w.end.frames
				w.end.frames++
				w.buf = appendFrame(w.buf, &frameRecord{left: leftUntil(d.deadline, w.now), coalesce: d.coalesce, frame: d.frame})
				if err := w.flushFull(); err != nil {
					return nil, err
				}
			}
		}
	}
	return frames, nil
}

// record writes a client down into r, whose slices alias what is the client's.
func (l *loop) record(slot uint32, c *client, now int64, frames map[*delivery]uint64, r *clientRecord) {
	*r = clientRecord{
		id: c.id, addr: c.addr, port: c.port, since: max(now-c.since, 0), age: int64(l.wheel.now-c.stamp) * int64(l.tick),
		state: c.state, flags: l.wireFlags(c), proto: c.proto,
		buckets: [3]float32{c.messages, c.bytes, c.controls}, refilled: l.millis() - c.refilled,
		queue: r.queue[:0],
	}
	if c.is(flagSubscribed) {
		r.topics = l.topics.Of(slot)
	}
	if e := l.extras.of(c); e != nil {
		r.rest, r.waiting = e.rest[e.done:], e.waiting
		r.unfinished, r.began = e.unfinished, int64(l.wheel.now-e.began)*int64(l.tick)
	}
	for n := c.head; n != 0; n = l.queue.at(n).next {
		nd := l.queue.at(n)
		out := nodeRecord{age: int64(l.wheel.now-nd.since) * int64(l.tick), data: nd.data}
		if nd.drop {
			out.flags |= wireDrop
		}
		if nd.from != nil {
			out.flags |= wireShared
			out.frame, out.left, out.data = frames[nd.from], uint64(len(nd.data)), nil
		}
		r.queue = append(r.queue, out)
	}
}

func (l *loop) wireFlags(c *client) (w uint8) {
	for _, f := range wiredFlags {
		if c.is(f.flag) {
			w |= f.wire
		}
	}
	if c.is(flagAgain) || l.held(c) {
		w |= wireAgain
	}
	return w
}

// wiredFlags are those that mean the same in both processes.
var wiredFlags = [...]struct {
	flag flags
	wire uint8
}{
	{flagEcho, wireEcho}, {flagPinged, wirePinged}, {flagSpoke, wireSpoke}, {flagFinish, wireFinish},
	{flagRefused, wireRefused},
}
