package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"wsd/bench/peers/fleet"
)

// bench asks the servers and keeps what it finds.
type bench struct {
	*options
	servers []contestant
	cases   []*testCase
}

// testCase is one kind of message, with a figure of each round for each server.
type testCase struct {
	message
	took [][]float64 // ms for an echo
	cpu  [][]float64 // ms of the server's processor time for one
}

func (b *bench) run(ctx context.Context) error {
	for _, size := range b.sizes {
		for _, m := range []message{{size: size, text: true}, {size: size}, {size: size, text: true, fragments: 16}} {
			m.make()
			b.cases = append(b.cases, &testCase{message: m, took: make([][]float64, len(b.servers)), cpu: make([][]float64, len(b.servers))})
		}
	}
	for round := range b.rounds + 1 { // the first is for warming up
		for _, c := range b.cases {
			for k := range b.servers {
				i := (k + round) % len(b.servers) // nobody is always behind the same one
				if err := ctx.Err(); err != nil {
					return err
				}
				took, cpu, err := b.ask(&b.servers[i], &c.message)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", b.servers[i].name, c, err)
				}
				if round > 0 {
					c.took[i] = append(c.took[i], took)
					c.cpu[i] = append(c.cpu[i], cpu)
				}
			}
		}
		fmt.Fprintf(os.Stderr, "\rround %d of %d", round, b.rounds)
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// ask has a server echo a message some times, over one connection. took and cpu
// are for one of them, in ms; took is the median.
func (b *bench) ask(s *contestant, m *message) (took, cpu float64, err error) {
	c, err := dial(s.addr)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if _, err := c.echo(m, true); err != nil { // the window of a young connection is small
		return 0, 0, err
	}
	n := max(1, b.echoes*(16<<20)/m.size)
	before, err := fleet.UsageOf(s.proc.PID())
	if err != nil {
		return 0, 0, err
	}
	each := make([]float64, n)
	for i := range each {
		d, err := c.echo(m, false)
		if err != nil {
			return 0, 0, err
		}
		each[i] = ms(d)
	}
	after, err := fleet.UsageOf(s.proc.PID())
	return median(each), ms(after.CPU-before.CPU) / float64(n), err
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// print writes a line for each kind of message and server. The last server is
// what the others are compared with; a ratio is the median of those of the rounds.
func (b *bench) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	last := len(b.servers) - 1
	fmt.Fprintf(w, "message\tserver\tms an echo\tbest\tby %s\tserver CPU, ms\tby %[1]s\n", b.servers[last].name)
	for _, c := range b.cases {
		for i, s := range b.servers {
			ratios := make([]float64, b.rounds)
			for r := range ratios {
				ratios[r] = c.took[i][r] / c.took[last][r]
			}
			fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", c, s.name, median(c.took[i]), slices.Min(c.took[i]), median(ratios),
				mean(c.cpu[i]), mean(c.cpu[i])/mean(c.cpu[last]))
		}
	}
	_ = w.Flush()
	for _, s := range b.servers {
		if u, err := fleet.UsageOf(s.proc.PID()); err == nil {
			fmt.Fprintf(to, "%s: %.1f MiB resident at the end\n", s.name, float64(u.RSS)/(1<<20))
		}
	}
}

// mean is for processor time, which the kernel counts in steps too coarse for a median.
func mean(of []float64) (sum float64) {
	for _, v := range of {
		sum += v
	}
	return sum / float64(len(of))
}
