//go:build linux

package server

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"
)

// cpu is what all threads of the process have had of the processors.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPublishLoops is what a message costs the process, by the number of
// loops: one to a topic that nobody has, to a topic of one client, to the id of
// one, and to all 200 who are here, who read; each waited for, and 64 under way.
func BenchmarkPublishLoops(b *testing.B) {
	const clients, deep = 200, 64
	for _, loops := range []int{1, 2, 8, 64} {
		s := start(b, Config{Loops: loops})
		var one Target
		for i, p := range s.dialMany(clients) {
			name := fmt.Sprintf("t%d", i)
			p.ask(`{"actioncode":"subscribe","data":{"topics":["`+name+`"]}}`, good(`["`+name+`"]`, "subscribe"))
			_ = p.SetDeadline(time.Time{})
			go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
		}
		list, _, err := s.Clients(b.Context(), "", 1)
		for cursor := ""; len(list) == 0 && err == nil; {
			list, cursor, err = s.Clients(b.Context(), cursor, 1)
		}
		if err != nil {
			b.Fatal(err)
		}
		one = Client(list[0].ID)
		m := Message{Data: []byte("a message of 128 bytes, or thereabouts, as a publisher of personal messages sends them to one of very many users, mostly")}
		for _, to := range []struct {
			name   string
			target Target
		}{{"nobody", Topic("none")}, {"topic", Topic("t7")}, {"client", one}, {"all", All()}} {
			b.Run(fmt.Sprintf("%s/loops=%d/waited", to.name, loops), func(b *testing.B) {
				before := cpu()
				for b.Loop() {
					if _, err := s.Publish(b.Context(), to.target, m); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			})
			b.Run(fmt.Sprintf("%s/loops=%d/pipelined", to.name, loops), func(b *testing.B) {
				before := cpu()
				var underWay [deep]Outcome
				for i := 0; b.Loop(); i++ {
					if wait := underWay[i%deep]; wait != nil {
						_, _ = wait.Wait(b.Context())
					}
					if underWay[i%deep], err = s.Begin(b.Context(), to.target, m); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			})
		}
	}
}
