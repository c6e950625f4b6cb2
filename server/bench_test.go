package server

import (
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/uuid"

	"wsd/conn"
)

// heartbeats are the messages that must cost next to nothing.
var heartbeats = map[string]struct{ path, frame, answer string }{
	"constant": {"/ws", text(beat), served(beating)},
	"seq":      {"/ws", text(`{"actioncode":"heart_beat","seq":123}`), served(answer(0, "success", "true", "heart_beat", "123"))},
	"echo":     {"/ws", text(`{"actioncode":"echo","data":{"a":[1,2,3]}}`), served(good(`{"a":[1,2,3]}`, "echo"))},
	"raw":      {"/echo", text("0123456789"), served("0123456789")},
	"ping":     {"/ws", frame(ws.OpPing, "0123456789"), string(conn.Compile(ws.OpPong, []byte("0123456789")))},
}

func served(s string) string { return string(conn.Compile(ws.OpText, []byte(s))) }

// openRecord makes a client of the first loop that has no socket. The server
// must not be started.
func (s *site) openRecord() (*loop, uint32, *client) {
	l := s.loops[0]
	slot, c := l.addRecord()
	s.t.Cleanup(func() { s.population.connected.Store(0) })
	return l, slot, c
}

func (l *loop) addRecord() (uint32, *client) {
	slot, c := l.clients.alloc()
	c.id, c.fd, c.since = l.server.newID(), -1, instant()
	l.server.population.enter(c.place())
	l.enter(slot, c, stateJoining)
	l.count.n[nAccepted]++
	l.open(slot, c)
	return slot, c
}

// feeder returns a function that has the server answer stream in memory.
func feeder(t testing.TB, stream string) func() {
	s := newSite(t, Config{Listen: []string{"none"}, ControlRate: -1})
	t.Cleanup(s.stop)
	l, slot, c := s.openRecord()
	in := make([]byte, len(stream))
	return func() {
		copy(in, stream)
		l.feeding.slot, l.feeding.cur = slot, c
		l.budget.begin(1)
		rest, out, err := s.protocol.Feed(&c.proto, in, l.out[:0], l)
		if l.out = out; len(rest) != 0 || err != nil || len(out) == 0 {
			t.Fatal(len(rest), len(out), err)
		}
	}
}

// BenchmarkHeartbeat is what a heartbeat costs beyond its system calls: the
// frame, the action and the answer.
func BenchmarkHeartbeat(b *testing.B) {
	for _, name := range []string{"constant", "seq", "echo", "ping"} {
		b.Run(name, func(b *testing.B) {
			feed := feeder(b, heartbeats[name].frame)
			b.ReportAllocs()
			for b.Loop() {
				feed()
			}
		})
	}
}

// BenchmarkRoundTrip is a heartbeat from socket to socket, one at a time, the
// client's half included.
func BenchmarkRoundTrip(b *testing.B) {
	s := start(b, Config{})
	p := s.dial()
	_ = p.SetDeadline(time.Time{})
	frame, answer := []byte(heartbeats["constant"].frame), make([]byte, len(heartbeats["constant"].answer))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Conn.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p.Conn, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish is one message to a thousand clients that read it.
func BenchmarkPublish(b *testing.B) {
	s := start(b, Config{})
	const n = 1000
	for range n {
		p := s.dial()
		_ = p.SetDeadline(time.Time{})
		go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
	}
	for b.Loop() {
		s.publish(All(), "a message to everybody")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/client")
}

// BenchmarkMillion holds a million clients without their sockets: what one
// process would carry on a host that has the descriptors.
//
//	memory   bytes for each: its record, its place in the index of ids
//	collect  a garbage collection: time, and CPU of all its threads
//	tick     the wheel's work in a tick of half a second: every client is looked
//	         at once per time-out of a minute, and beats every half minute
//	find     a client's record by its id
func BenchmarkMillion(b *testing.B) {
	const million = 1_000_000
	before := heapBytes()
	s := newSite(b, Config{Listen: []string{"none"}, Loops: 2})
	defer s.stop()
	for _, l := range s.loops {
		for range million / len(s.loops) {
			l.addRecord()
		}
	}
	each := float64(heapBytes()-before) / million
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(each, "B/client")
	})
	b.Run("collect", func(b *testing.B) {
		cpu := collectorSeconds()
		for b.Loop() {
			runtime.GC()
		}
		b.ReportMetric((collectorSeconds()-cpu)*1e9/float64(b.N), "cpu-ns/op")
	})
	b.Run("tick", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if i%50 == 0 {
				b.StopTimer()
				s.beat()
				b.StartTimer()
			}
			for _, l := range s.loops {
				l.turnWheel(l.wheel.now + 1)
				for l.wheel.looking() {
					l.lookOn(lookSlice)
				}
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		l := s.loops[0]
		ids := make([]uuid.UUID, million/len(s.loops)) // in any order: those of neighbours share cache lines
		for i, slot := range rand.Perm(len(ids)) {
			ids[i] = l.clients.at(uint32(slot)).id
		}
		for i := 0; b.Loop(); i++ {
			if slot, ok := l.byID.find(ids[i%len(ids)]); !ok || l.clients.at(slot).state != stateOpen {
				b.Fatal("not found")
			}
		}
	})
	for _, l := range s.loops {
		l.end()
		l.dead = nil // there is nothing to close
		l.clients = slab{}
	}
	s.population.connected.Store(0)
}

// beat has every client have sent something within the last half minute.
func (s *site) beat() {
	for _, l := range s.loops {
		recent := l.timeout(30 * time.Second)
		for slot := range l.clients.size() {
			if c := l.clients.at(slot); c.state == stateOpen {
				c.stamp = l.wheel.now - min(rand.Uint32N(recent), l.wheel.now)
			}
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func collectorSeconds() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}
