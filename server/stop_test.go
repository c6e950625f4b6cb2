package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/dispatch"
)

// stopping runs Stop and returns where its result will be.
func (s *site) stopping(restarting bool) <-chan error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		result <- s.Stop(ctx, restarting)
	}()
	return result
}

// TestStop: every client gets its close frame, with the code that fits, none is
// cut off, and newcomers are told to come back later for as long as possible.
func TestStop(t *testing.T) {
	for code, restarting := range map[ws.StatusCode]bool{1001: false, 1012: true} {
		s := start(t, Config{Loops: 3, DrainTime: -1})
		peers := s.dialMany(200)
		idle, half, other := s.connect(), s.connect(), s.connect()
		half.write(request("/ws")[:20])
		s.until("three are joining", func(st Stats) bool { return st.Clients.Joining == 3 })
		done := s.stopping(restarting)
		var wg sync.WaitGroup
		for _, p := range peers {
			wg.Go(func() {
				if got, reason, err := p.end(); got != code || reason == "" || err != nil {
					t.Errorf("closed with %d %q %v", got, reason, err)
				}
				p.Close()
			})
		}
		for _, p := range []*peer{idle, half, other} {
			if r := p.refused(503); r.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
			p.Close()
		}
		wg.Wait()
		if err := <-done; err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := s.Ready(); err == nil {
			t.Error("ready, and stopped")
		}
		st := s.Stats()
		if st.Closed["shutdown"] != 200 || st.Closed["refused"] != 3 {
			t.Errorf("%s", describe(st))
		}
		if err := s.Stop(context.Background(), false); err != nil { // nothing is left to do
			t.Errorf("the second Stop: %v", err)
		}
	}
}

// TestStopQueued: who is still in the kernel's queue when the stop begins gets
// a 503, too, however many there are.
func TestStopQueued(t *testing.T) {
	s := start(t, Config{Loops: 2})
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[0].post(func(*loop) { close(held); <-release }) // nobody accepts now
	<-held
	queued := make([]*peer, s.limits.Spare()/2+100)
	for i := range queued {
		queued[i] = s.connect()
		queued[i].write(request("/ws"))
	}
	done := s.stopping(false)
	eventually(t, says("the stop has begun"), func() bool { return s.draining.Load() })
	close(release)
	for i, p := range queued {
		if r := p.response(); r.StatusCode != 503 {
			t.Errorf("client %d: %s", i, r.Status)
		}
		p.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// TestSweepEnds: a storm of newcomers does not keep the listeners open: so many as
// a queue can hold are told, and then it is closed.
func TestSweepEnds(t *testing.T) {
	s := start(t, Config{Loops: 1})
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[0].post(func(l *loop) {
		close(held)
		<-release
		l.accept.swept = longestQueue - 3*acceptBatch // the storm began long ago
	})
	<-held
	queued := make([]*peer, 12*acceptBatch)
	for i := range queued {
		queued[i] = s.connect()
		queued[i].try(request("/ws"))
	}
	done := s.stopping(false)
	eventually(t, says("the stop has begun"), func() bool { return s.draining.Load() })
	close(release)
	told, cut := 0, 0
	for _, p := range queued {
		if r, err := http.ReadResponse(p.br, nil); err != nil {
			cut++
		} else if r.StatusCode == 503 {
			told++
		}
		p.Close()
	}
	// The turns of the sweep accept twice: when an event says so, too.
	if told < 2*acceptBatch || cut == 0 || told+cut != len(queued) {
		t.Errorf("%d are told, %d cut off, of %d", told, cut, len(queued))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestStopBlocked: a handler that blocks its loop does not hold Stop up for ever.
// What the loop holds is given back when it goes on.
func TestStopBlocked(t *testing.T) {
	m := testMux()
	entered, release := make(chan struct{}), make(chan struct{})
	dispatch.Handle(m, "block", func(*dispatch.Context, struct{}) (int, error) {
		close(entered)
		<-release
		return 1, nil
	}, dispatch.Inline())
	s := start(t, Config{Mux: m, Loops: 2})
	s.dialMany(4)
	p := s.dial()
	p.send(`{"actioncode":"block"}`)
	<-entered
	before := endTimeout
	endTimeout = briefly
	defer func() { endTimeout = before }()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	result := make(chan error, 1)
	go func() { result <- s.Stop(ctx, false) }()
	select {
	case err := <-result:
		if !errors.Is(err, ErrBlocked) || !errors.Is(err, context.Canceled) {
			t.Errorf("Stop: %v", err)
		}
	case <-time.After(patience):
		t.Error("Stop does not return")
	}
	if err := s.Stop(t.Context(), false); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
	select {
	case <-s.ended:
		t.Error("a blocked loop has ended")
	default:
	}
	close(release)
	<-s.ended
}

// TestStopWaits: a second Stop waits for the first no longer than its own context.
func TestStopWaits(t *testing.T) {
	s := start(t, Config{CloseTimeout: time.Hour})
	p := s.dial()
	first := s.stopping(false)
	eventually(t, says("the stop has begun"), func() bool { return s.draining.Load() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	p.closedWith(1001)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestStartStop: whichever of the two is first, nothing is left in the end, and
// both say what became of it.
func TestStartStop(t *testing.T) {
	before := inUse()
	for i := range 800 { // where they cross is a few instructions wide
		s := newSite(t, Config{Loops: 1 + i%2})
		var both sync.WaitGroup
		begin := make(chan struct{})
		both.Go(func() {
			<-begin
			_ = s.Start() // an error if it came second
		})
		both.Go(func() {
			<-begin
			s.stop()
		})
		close(begin)
		both.Wait()
		<-s.ended
		s.checkEmpty()
	}
	checkNoMore(t, before)
}

// TestStopPaced: the clients are closed little by little over DrainTime, and
// those who wait for their turn are served meanwhile.
func TestStopPaced(t *testing.T) {
	s := start(t, Config{Loops: 2, DrainTime: 8 * time.Second, CloseTimeout: time.Hour})
	const clients = 60
	peers := s.dialMany(clients)
	var closed atomic.Int64
	var served [clients]atomic.Int64
	var gone [clients]atomic.Bool
	var wg sync.WaitGroup
	done := s.stopping(false)
	for i, p := range peers {
		wg.Go(func() {
			for {
				p.try(text(beat))
				f, err := p.next()
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				if f.Header.OpCode == ws.OpClose {
					gone[i].Store(true)
					closed.Add(1)
					p.try(frame(ws.OpClose, "\x03\xe9"))
					p.finished()
					p.Close()
					return
				}
				served[i].Add(1)
			}
		})
	}
	// turn waits until all who are still there have been served once more.
	turn := func() {
		var before [clients]int64
		for i := range served {
			before[i] = served[i].Load()
		}
		i := 0
		eventually(t, says("those who wait for their turn are served"), func() bool {
			for i < clients && (served[i].Load() > before[i] || gone[i].Load()) {
				i++
			}
			return i == clients
		})
	}
	eventually(t, says("the stop has begun"), func() bool { return s.draining.Load() })
	// In the loops' own time: never more than the share of the ticks that
	// passed, and one client more for each loop that rounds up.
	for closed.Load() < clients {
		turn()
		s.each(func(l *loop) {
			l.sleep(l.tick)
			ticks := l.ticks(s.cfg.DrainTime)
			if !l.drain.on || l.wheel.now >= l.drain.end {
				return
			}
			past := ticks - (l.drain.end - l.wheel.now) + 1
			total := uint64(l.count.states[stateOpen]) + l.count.closes[ReasonShutdown]
			if most := total*uint64(past)/uint64(ticks) + uint64(past) + 1; l.count.closes[ReasonShutdown] > most {
				t.Errorf("%d of %d are closed after %d of %d ticks", l.count.closes[ReasonShutdown], total, past, ticks)
			}
		})
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	wg.Wait()
}

// TestStopGivesUp: clients that do not answer their close frame hold Stop up
// for no longer than CloseTimeout, or its context.
func TestStopGivesUp(t *testing.T) {
	mute := func(s *site) []*peer { return s.dialMany(10) }
	t.Run("close timeout", func(t *testing.T) {
		s := start(t, Config{CloseTimeout: 100 * time.Millisecond})
		peers := mute(s)
		s.stop()
		for _, p := range peers {
			if f, err := p.next(); err != nil || f.Header.OpCode != ws.OpClose {
				t.Errorf("%+v %v", f, err)
			}
			p.finished()
		}
	})
	t.Run("context", func(t *testing.T) {
		s := start(t, Config{CloseTimeout: time.Hour, DrainTime: time.Hour, HandshakeTimeout: time.Hour})
		peers := mute(s)
		s.connect()
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := s.Stop(ctx, false); !errors.Is(err, context.Canceled) {
			t.Errorf("Stop: %v", err)
		}
		for _, p := range peers {
			if _, err := io.ReadAll(p.br); err != nil {
				t.Logf("cut off: %v", err)
			}
		}
	})
	t.Run("stuck", func(t *testing.T) {
		s := start(t, tight(Config{SlowConsumer: DropNew, CloseTimeout: 100 * time.Millisecond}))
		s.stuck("/ws")
		s.jam(0, func(r Result) bool { return r.Dropped == 1 })
		s.stop()
	})
}

// TestStopTwice: a second Stop waits for the first.
func TestStopTwice(t *testing.T) {
	s := start(t, Config{})
	peers := s.dialMany(20)
	first, second := s.stopping(false), s.stopping(true)
	for _, p := range peers {
		p.ended()
	}
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	if s.population.connected.Load() != 0 {
		t.Error("Stop returned before the end")
	}
}

// TestStopWithHandler: a handler under way is told to end. Its client is closed
// in the proper way all the same, and its late answer goes nowhere.
func TestStopWithHandler(t *testing.T) {
	m := testMux()
	entered, release := make(chan *dispatch.Context, 1), make(chan struct{})
	dispatch.Handle(m, "linger", func(ctx *dispatch.Context, _ struct{}) (int, error) {
		entered <- ctx
		<-release
		return 1, nil
	})
	s := start(t, Config{Mux: m})
	p := s.dial()
	p.send(`{"actioncode":"linger"}`)
	ctx := <-entered
	done := s.stopping(false)
	p.closedWith(1001)
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Error("the handler is not told")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// The loop is over now, and its descriptors perhaps somebody else's. What
	// the handler asks of it, and its answer, must not touch them.
	if ctx.Client.Subscribe("x") == nil {
		t.Error("a client of a stopped server was subscribed")
	}
	close(release)
}

// TestAfterEnd: nothing is written to the descriptors of a loop that is over.
func TestAfterEnd(t *testing.T) {
	s := start(t, Config{Loops: 1})
	l := s.loops[0]
	s.stop()
	if l.post(func(*loop) { t.Error("it ran") }) {
		t.Error("a loop that is over took a task")
	}
	s.forget(newcomerOfNobody(t, s))
	if _, ok := s.Client(t.Context(), s.newID()); ok {
		t.Error("a stopped server has a client")
	}
	if st := s.Stats(); st.Clients.Connected != 0 {
		t.Errorf("%s", describe(st))
	}
}

func newcomerOfNobody(t *testing.T, s *site) newcomer {
	n := newcomer{fd: unpollable(t), id: s.newID()}
	s.population.enter(n.place())
	return n
}

// TestStopUnderLoad: clients come, talk and go while the server stops. Nobody
// who was let in is cut off without a close frame.
func TestStopUnderLoad(t *testing.T) {
	s := start(t, Config{Loops: 2, DrainTime: 100 * time.Millisecond})
	addr := s.Addrs()[0]
	var wg sync.WaitGroup
	var talked atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				c, err := dialQuietly(addr)
				if err != nil {
					return // not listening any more
				}
				p := peerOf(t, c)
				p.try(request("/ws"))
				r, err := http.ReadResponse(p.br, nil)
				if err != nil || r.StatusCode != 101 {
					c.Close()
					continue // reset in the queue as it closed, or told to come back
				}
				for range 5 {
					p.try(text(beat))
					f, err := p.next()
					if err != nil {
						t.Errorf("cut off: %v", err)
						break
					}
					if f.Header.OpCode == ws.OpClose {
						p.try(frame(ws.OpClose, string(f.Payload[:2])))
						p.finished()
						break
					}
					talked.Add(1)
				}
				c.Close()
			}
		})
	}
	eventually(t, says("they talk"), func() bool { return talked.Load() > 200 })
	s.stop()
	wg.Wait()
}
