package cluster

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"wsd/server"
)

// cpu is what the process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPublish is a publish of 128 bytes to all, of whom there are none, 64 at a
// time. The nodes are in one process, so cpu-ns/op is that of all of them: what it grows
// by with a node is the cost of a peer, and of its server's part, which is what one node
// alone takes.
func BenchmarkPublish(b *testing.B) {
	for _, nodes := range []int{1, 2, 3, 4} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			shop := startShop(b, nodes)
			data := make([]byte, 128)
			for i := range data {
				data[i] = 'x'
			}
			begin := func() server.Outcome {
				o, err := shop[0].srv.Begin(b.Context(), server.All(), server.Message{Data: data})
				if err != nil {
					b.Fatal(err)
				}
				return o
			}
			var under []server.Outcome
			finish := func() {
				if r, err := under[0].Wait(b.Context()); err != nil || !r.Reach.Complete {
					b.Fatalf("%+v %v", r.Reach, err)
				}
				under = under[1:]
			}
			b.ResetTimer()
			before := cpu()
			for range b.N {
				if len(under) == 64 {
					finish()
				}
				under = append(under, begin())
			}
			for len(under) > 0 {
				finish()
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
