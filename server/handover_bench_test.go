package server

import (
	"testing"
	"time"
)

// The time that all clients have to wait while they are handed over, for each
// of them: an idle one with a topic.
func BenchmarkHandover(b *testing.B) {
	const clients = 4000
	s := start(b, Config{})
	peers := s.dialMany(clients)
	for _, p := range peers {
		p.ask(`{"actioncode":"subscribe","data":{"topics":["news"]}}`,
			`{"code":0,"msg":"success","data":["news"],"actioncode":"subscribe"}`)
	}
	var pause time.Duration
	var bytes int64
	for b.Loop() {
		var done Handed
		s, done = s.pass(Config{})
		pause += done.Pause
		bytes = done.Bytes
	}
	b.ReportMetric(float64(pause.Nanoseconds())/float64(b.N)/clients, "pause-ns/client")
	b.ReportMetric(float64(bytes)/clients, "bytes/client")
}
