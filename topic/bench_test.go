package topic

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// fill subscribes each of clients slots to three of n topics.
func fill(table *Table, clients, n int, names []string) {
	r := rand.New(rand.NewPCG(1, 1))
	for slot := range uint32(clients) {
		for table.Count(slot) < 3 {
			_ = table.Subscribe(slot, names[r.IntN(n)])
		}
	}
}

func topicNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("room.%d", i)
	}
	return names
}

// heap returns the bytes in use after a collection.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkMemory reports what a subscription costs: 100,000 clients, 3 topics each, in tables with few
// topics for many and with many topics for few.
func BenchmarkMemory(b *testing.B) {
	const clients = 100_000
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("topics=%d", n), func(b *testing.B) {
			names := topicNames(n)
			bytes := 0.0
			for b.Loop() {
				before := heap()
				table := new(Table)
				fill(table, clients, n, names)
				bytes = heap() - before
				runtime.KeepAlive(table)
			}
			b.ReportMetric(bytes/(3*clients), "bytes/subscription")
			b.ReportMetric(bytes/float64(n), "bytes/topic")
		})
	}
}

func BenchmarkSubscribeLeave(b *testing.B) {
	var table Table
	names := topicNames(1000)
	fill(&table, 100_000, len(names), names)
	b.ReportAllocs()
	slot := uint32(0)
	for b.Loop() {
		table.Leave(slot)
		for i := range 3 {
			_ = table.Subscribe(slot, names[(int(slot)+i)%len(names)])
		}
		slot = (slot + 1) % 100_000
	}
}

func BenchmarkSubscribers(b *testing.B) {
	for _, n := range []int{10, 1000} {
		var table Table
		names := topicNames(n)
		fill(&table, 100_000, n, names)
		for _, k := range []int{1, 5} {
			b.Run(fmt.Sprintf("topics=%d/of=%d", k, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					table.Subscribers(names[:k]...)
				}
			})
		}
	}
}

func BenchmarkAllowed(b *testing.B) {
	patterns := []string{"user.*", "room.*.news", "room.?"}
	for b.Loop() {
		Allowed(patterns, "room.12345.news")
	}
}
