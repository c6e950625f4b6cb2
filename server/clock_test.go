package server

import (
	"errors"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"wsd/handoff"
	"wsd/netpoll"
)

// stepped is t as it would be had the wall clock been set by so much between its
// making and now: its reading of the monotonic clock stays.
func stepped(t time.Time, by time.Duration) time.Time {
	const secondBit = 30 // of time.Time's first word, behind the nanoseconds
	word := (*uint64)(unsafe.Pointer(&t))
	*word += uint64(-by/time.Second) << secondBit
	return t
}

func TestStepped(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		s := stepped(now, by)
		if s.Sub(now) != 0 || s.Round(0).Sub(now.Round(0)) != -by {
			t.Fatalf("%v and %v", now, s)
		}
	}
}

// A message that has a minute is delivered, and one that is late is not, however
// the wall clock was set meanwhile.
func TestDeadlineIsMonotonic(t *testing.T) {
	s := start(t, Config{Loops: 1})
	p := s.dial()
	p.alive()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 40 * 365 * 24 * time.Hour} {
		now := time.Now()
		for deadline, want := range map[time.Time]Result{
			stepped(now.Add(time.Minute), by):  {Matched: 1, Sent: 1},
			stepped(now.Add(-time.Second), by): {Matched: 1, Expired: 1},
		} {
			got, err := s.Publish(t.Context(), All(), Message{Data: []byte("x"), Deadline: deadline})
			if got.LastClient = 0; err != nil || got != want {
				t.Errorf("a step of %v, deadline in %v: %+v, %v; want %+v", by, time.Until(deadline), got, err, want)
			}
		}
	}
	for deadline, want := range map[time.Time]int{
		time.Now().Add(time.Minute).Round(0):                1, // by the wall clock alone
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC):         1,
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC):            0,
		time.Now().Add(-time.Second).Round(0):               0,
		time.Now().Add(math.MaxInt64 - time.Hour).Round(0):  1,
		time.Now().Add(-math.MaxInt64 + time.Hour).Round(0): 0,
	} {
		if got, err := s.Publish(t.Context(), All(), Message{Data: []byte("x"), Deadline: deadline}); err != nil || got.Sent != want {
			t.Errorf("deadline %v: %+v, %v", deadline, got, err)
		}
	}
}

// A queued message expires by the same clock.
func TestQueuedDeadlineIsMonotonic(t *testing.T) {
	s := newSite(t, Config{Loops: 1, Listen: []string{"none"}})
	defer s.stop()
	l := s.loops[0]
	now := time.Now()
	slot, c := l.clients.alloc()
	for _, left := range []time.Duration{time.Minute, -time.Minute} {
		m := Message{Data: []byte("x"), Deadline: stepped(now.Add(left), 2*left)}
		d, err := m.delivery(All())
		if err != nil {
			t.Fatal(err)
		}
		l.enqueue(slot, c, node{data: d.frame, from: d, drop: true})
	}
	if k, _ := l.gather(c, make([][]byte, 4)); k != 1 || l.count.n[nQueuedExpired] != 1 {
		t.Errorf("%d to be sent, %d expired; want one of each", k, l.count.n[nQueuedExpired])
	}
	l.dropQueue(c, true)
	l.clients.release(slot)
}

const (
	hour = int64(time.Hour)
	year = 365 * 24 * hour
)

// near says that two times differ by less than a test may take.
func near(a, b int64) bool { return a-b < int64(10*time.Second) && b-a < int64(10*time.Second) }

// What was left, and had passed, when the older process stood still is what is
// left, and has passed, here, less the pause; whatever a clock was set to
// meanwhile, or in that process's life.
func TestHandoverClock(t *testing.T) {
	const minute = int64(time.Minute)
	mono, err := netpoll.Monotonic()
	if now := instant(); err != nil || !near(mono, now) {
		t.Fatalf("CLOCK_MONOTONIC is %d, an instant %d, %v", mono, now, err)
	}
	frozen := instant() - minute
	k := handoverClockOf(&handoff.Server{Frozen: frozen})
	if d := k.deadline(3*minute) - frozen; !near(d, 3*minute) {
		t.Errorf("%v are left, want 3 minutes", time.Duration(d))
	}
	if d := frozen - k.since(hour); !near(d, hour) {
		t.Errorf("it was here for %v, want an hour", time.Duration(d))
	}
	if k.deadline(0) != 0 {
		t.Error("none has become one")
	}
	if d := k.deadline(-1); d == 0 || d >= instant() {
		t.Errorf("one that was over is at %v, and it is %v", d, instant())
	}
	for _, frozen := range []int64{instant() + hour, instant() - year, math.MinInt64, math.MaxInt64} { // of another host, or none
		if k := handoverClockOf(&handoff.Server{Frozen: frozen}); !near(k.at, instant()) {
			t.Errorf("frozen at %d: a pause of %v", frozen, time.Duration(instant()-k.at))
		}
	}
	// Formats 1 and 2, with a wall clock that has been set since.
	for _, step := range []int64{0, hour, -hour, 40 * year, -40 * year} {
		frozen := time.Now().UnixNano() + step
		k := handoverClockOf(&handoff.Server{Wall: true, Frozen: frozen})
		if d := k.deadline(minute) - instant(); !near(d, minute) {
			t.Errorf("a step of %v: %v left", time.Duration(step), time.Duration(d))
		}
		if d := instant() - k.since(hour); !near(d, hour) {
			t.Errorf("a step of %v: it was here for %v", time.Duration(step), time.Duration(d))
		}
	}
}

// A client's times are what they were, whatever the tick, and whatever the wall
// clock was set to: decades included, time-outs fall due.
func TestRebase(t *testing.T) {
	for _, step := range []int64{0, hour, -hour, 40 * year, -40 * year} {
		for _, wall := range []bool{false, true} {
			s := newSite(t, Config{Listen: []string{"none"}, CloseTimeout: 200 * time.Millisecond})
			first := handoff.Server{Wall: wall, Frozen: time.Now().UnixNano() + step, Uptime: 48 * hour}
			if !wall {
				first.Frozen = 0
			}
			clock := handoverClockOf(&first)
			s.rebase(&first)
			if up := int64(time.Since(s.began)); !near(up, 48*hour) {
				t.Errorf("up for %v", time.Duration(up))
			}
			for _, l := range s.loops {
				s.cfg.FirstMessageTimeout = 0
				r := handoff.Client{ID: [16]byte{byte(l.number)}, Silence: int64(time.Minute), State: handoff.StateOpen}
				watch := newRegistrar(s.loops)
				if err := errors.Join(l.restore(&r, clock.since(hour), pollable(t), nil, watch), watch.wait()); err != nil {
					t.Fatal(err)
				}
				slot, _ := l.byID.find(r.ID)
				c := l.clients.at(slot)
				silent := time.Duration(l.wheel.now-c.stamp) * l.tick
				if silent < time.Minute-l.tick || silent > time.Minute {
					t.Errorf("silent for %v, want a minute", silent)
				}
				if age := instant() - c.since; !near(age, hour) {
					t.Errorf("it has been here for %v, want an hour", time.Duration(age))
				}
				info := l.info(slot, c)
				if ago := time.Since(info.ConnectedAt); !near(int64(ago), hour) {
					t.Errorf("connected %v ago", ago)
				}
				if ago := time.Since(info.LastSeen); !near(int64(ago), int64(time.Minute)) {
					t.Errorf("last seen %v ago", ago)
				}
				if _, at := l.nextLimit(0, c); before(at, l.wheel.now-1) || before(l.wheel.now+1, at) {
					t.Errorf("its next limit is at %d, and it is %d", at, l.wheel.now)
				}
				s.cfg.FirstMessageTimeout = time.Second
				if which, at := l.nextLimit(0, c); which != firstMessageLimit || !before(at, l.wheel.now) {
					t.Errorf("limit %d at %d, and it is %d: its first message is overdue", which, at, l.wheel.now)
				}
				l.detach()
			}
			s.stop()
		}
	}
}

// A time longer ago than ticks can tell is long ago, and not to come.
func TestLongAgo(t *testing.T) {
	s := newSite(t, Config{Loops: 1, Listen: []string{"none"}, FirstMessageTimeout: time.Minute})
	defer s.stop()
	l := s.loops[0]
	for _, ticks := range []int64{1 << 20, 1<<31 - 1, 1<<31 + 1<<30, 1<<32 - 1, 1 << 34} {
		r := handoff.Client{ID: [16]byte{1}, Silence: ticks * int64(l.tick), State: handoff.StateOpen}
		watch := newRegistrar(s.loops)
		if err := errors.Join(l.restore(&r, instant()-r.Silence, pollable(t), nil, watch), watch.wait()); err != nil {
			t.Fatal(err)
		}
		slot, _ := l.byID.find(r.ID)
		if which, at := l.nextLimit(slot, l.clients.at(slot)); !before(at, l.wheel.now) {
			t.Errorf("%d ticks ago: limit %d is at %d, and it is %d", ticks, which, at, l.wheel.now)
		}
		l.remove(slot, l.clients.at(slot))
		l.free(slot, l.clients.at(slot))
	}
}

// Ticks wrap, after 497 days with the finest. Time-outs fall due before and after.
func TestTicksWrap(t *testing.T) {
	const timeout = time.Minute
	s := start(t, Config{Loops: 1, HandshakeTimeout: timeout, IdleTimeout: timeout, PongTimeout: timeout})
	left := 3 * timeout / 2 / s.loops[0].tick // of them, half a time-out before the second
	s.each(func(l *loop) { l.start = l.start.Add(-(1<<32 - left) * l.tick) })
	mute, idle := s.connect(), s.dial()
	s.until("both are there", func(st Stats) bool { return st.Clients.Joining == 1 && st.Clients.Open == 1 })
	s.each(func(l *loop) {
		l.sleep(timeout + 2*l.tick)
		if l.wheel.now < 1<<31 {
			t.Errorf("it is tick %d: it has wrapped", l.wheel.now)
		}
	})
	idle.pinged()
	if r := mute.response(); r.StatusCode != 408 {
		t.Errorf("the handshake that did not come: %d", r.StatusCode)
	}
	s.each(func(l *loop) {
		l.sleep(timeout + 2*l.tick)
		if l.wheel.now > 1<<31 {
			t.Errorf("it is tick %d: it has not wrapped", l.wheel.now)
		}
	})
	idle.closedWith(ws.StatusPolicyViolation)
}

// What people are told stays the same as long as the process lives.
func TestWallTime(t *testing.T) {
	at := instant()
	if a, b := wallTime(at), wallTime(at); !a.Equal(b) || !near(a.UnixNano(), time.Now().UnixNano()) {
		t.Errorf("%v and %v", a, b)
	}
	for range 1000 {
		if now := instant(); now < at {
			t.Fatalf("%d after %d", now, at)
		} else {
			at = now
		}
	}
}
