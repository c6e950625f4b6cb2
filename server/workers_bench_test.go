package server

import (
	"sync"
	"testing"
)

// BenchmarkWorkers hands a task to another goroutine and waits for its end, one
// at a time: to a worker of the pool, and to a goroutine that is made for it.
func BenchmarkWorkers(b *testing.B) {
	s := newSite(b, Config{Listen: []string{"none"}})
	b.Cleanup(s.stop)
	for _, way := range []struct {
		name  string
		begin func(task func()) error
	}{
		{"pool", s.workers.Submit},
		{"goroutine", func(task func()) error { go task(); return nil }},
	} {
		b.Run(way.name, func(b *testing.B) {
			var done sync.WaitGroup
			b.ReportAllocs()
			for b.Loop() {
				done.Add(1)
				if err := way.begin(func() { done.Done() }); err != nil {
					b.Fatal(err)
				}
				done.Wait()
			}
		})
	}
}
