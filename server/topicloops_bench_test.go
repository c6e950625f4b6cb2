package server

import (
	"fmt"
	"runtime"
	"testing"

	"wsd/topic"
)

// BenchmarkTopicLoops reports what a million topics of one subscriber each cost beside the loops' tables,
// and what a look takes.
func BenchmarkTopicLoops(b *testing.B) {
	const n, loops = 1_000_000, 64
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user.%d", i)
	}
	fill := func(known *topicLoops) (list [loops]topic.Table) {
		for i := range list {
			if known != nil {
				known.watch(&list[i], i)
			}
		}
		for i, name := range names {
			_ = list[i%loops].Subscribe(uint32(i/loops), name)
		}
		return list
	}
	before := heapBytes()
	without := fill(nil)
	alone := heapBytes() - before
	runtime.KeepAlive(&without)
	before = heapBytes()
	known := newTopicLoops()
	with := fill(known)
	both := heapBytes() - before
	for i := 0; b.Loop(); i += 7919 {
		var set loopSet
		known.addTo(&set, names[i%n])
	}
	b.ReportMetric(float64(both-alone)/n, "bytes/topic")
	runtime.KeepAlive(&with)
}
