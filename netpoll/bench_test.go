//go:build linux

package netpoll

import (
	"syscall"
	"testing"
	"time"
)

// The choices that these benchmarks settled are in docs/architecture.md.

// cpu is what the process has used, with what the kernel did for it.
func cpu(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkWait waits for events that come every 50 µs, as heartbeats of a
// large host do, and tells the CPU one costs: dozing, parked in the Go runtime's
// poller, asleep in epoll_wait, or handed to a watcher and back each time.
func BenchmarkWait(b *testing.B) {
	events := make([]Event, 16)
	ways := []struct {
		name string
		wait func(b *testing.B, p *Poller) func()
	}{
		{"doze", func(b *testing.B, p *Poller) func() {
			return func() {
				if n, woken, _ := p.Doze(events); n == 0 && !woken {
					p.Park(events)
				}
			}
		}},
		{"park", func(b *testing.B, p *Poller) func() {
			return func() { p.Park(events) }
		}},
		{"block", func(b *testing.B, p *Poller) func() {
			return func() { p.Wait(events, 5*time.Millisecond) }
		}},
		{"watcher", func(b *testing.B, p *Poller) func() {
			w, err := NewWatcher(func(err error) { b.Error(err) })
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { w.Close() })
			ready := make(chan struct{}, 1)
			if err := w.Watch(p, func() { ready <- struct{}{} }); err != nil {
				b.Fatal(err)
			}
			return func() {
				<-ready
				p.Wait(events, 0)
				w.Rearm(p)
			}
		}},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			p := newPoller(b)
			wait := way.wait(b, p)
			if err := p.Tick(50 * time.Microsecond); err != nil {
				b.Fatal(err)
			}
			before := cpu(b)
			for b.Loop() {
				wait()
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/event")
		})
	}
}

// BenchmarkTrigger tells what one of 64 ready sockets costs, from the wait to
// the read, edge- and level-triggered.
func BenchmarkTrigger(b *testing.B) {
	const n = 64
	for _, way := range []struct {
		name     string
		interest Interest
	}{{"edge", Edge}, {"level", Edge &^ edgeBit}} {
		b.Run(way.name, func(b *testing.B) {
			p := newPoller(b)
			var peers [n]int
			var socks [n]int
			for i := range n {
				a, peer := pair(b)
				b.Cleanup(func() { Close(a); Close(peer) })
				socks[i], peers[i] = a, peer
				if err := p.Add(a, MakeToken(uint32(i), 1), way.interest); err != nil {
					b.Fatal(err)
				}
			}
			events, buf, msg := make([]Event, n), make([]byte, 64), []byte("a heartbeat of some forty bytes, or so..")
			for b.Loop() {
				for _, peer := range peers {
					Write(peer, msg)
				}
				for got := 0; got < n; {
					k, _, err := p.Wait(events, time.Second)
					if err != nil {
						b.Fatal(err)
					}
					for i := range events[:k] {
						Read(socks[events[i].Token().Slot()], buf)
					}
					got += k
				}
				p.Wait(events, 0) // the look that finds nothing more
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
		})
	}
}

const edgeBit = 1 << 31 // EPOLLET

// BenchmarkRead tells what telling the Go scheduler about a system call that
// cannot block costs.
func BenchmarkRead(b *testing.B) {
	a, peer := pair(b)
	defer Close(a)
	defer Close(peer)
	buf, msg := make([]byte, 64), []byte("a heartbeat of some forty bytes, or so..")
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			Write(peer, msg)
			Read(a, buf)
		}
	})
	b.Run("scheduled", func(b *testing.B) {
		for b.Loop() {
			syscall.Write(peer, msg)
			syscall.Read(a, buf)
		}
	})
}
