package main

import (
	"fmt"
	"io"
	"strings"
)

// writeTable writes the comparison as markdown: the headline figures with
// their ratio to the floor, all the others, and what was doubtful.
func writeTable(w io.Writer, r Result) error {
	var b strings.Builder
	p := r.Plan
	fmt.Fprintf(&b, "%d clients on one server process pinned to processor %d, the generator on processor %d; medians of %d interleaved rounds. "+
		"%d clients in the closed loops, %d heartbeats/s over all of them in the open one, %d publishes of %d bytes; %d JSON actions/s over %d clients. "+
		"%s, %d processors, Linux %s, %s, %s.\n\n",
		p.Clients, p.ServerCPU, p.BenchCPU, p.Rounds, p.Active, p.Rate, p.Publishes, publishBytes, p.actionRate(), p.actionClients(),
		r.Host.CPU, r.Host.CPUs, r.Host.Kernel, r.Host.Go, r.Date.Format("2 January 2006"))
	tableOf(&b, r, headline)
	if _, ok := r.floor(); ok {
		b.WriteString("In brackets: the ratio to `floor`, a bare C epoll loop that answers a constant.\n\n")
	}
	tableOf(&b, r, figures[len(headline):])
	if len(r.Problems) > 0 {
		b.WriteString("Doubtful in these runs:\n\n")
		for _, p := range r.Problems {
			first, _, _ := strings.Cut(p, "\n")
			b.WriteString("- " + first + "\n")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Result) floor() (Measured, bool) {
	for _, m := range r.Servers {
		if m.Name == "floor" {
			return m, true
		}
	}
	return Measured{}, false
}

// tableOf has a row for each figure and a column for each server.
func tableOf(b *strings.Builder, r Result, fs []Figure) {
	head, rule := "| |", "|---|"
	for _, m := range r.Servers {
		head += " " + strings.TrimSpace(m.Name+" "+m.Version) + " |"
		rule += "--:|"
	}
	b.WriteString(head + "\n" + rule + "\n")
	floor, _ := r.floor()
	for _, f := range fs {
		fmt.Fprintf(b, "| %s, %s |", f.Title, f.Unit)
		base := floor.Figures[f.Key].Median
		for _, m := range r.Servers {
			figure, measured := m.Figures[f.Key]
			if !measured {
				b.WriteString(" – |")
				continue
			}
			v := figure.Median
			b.WriteString(" " + number(v))
			if m.Name != "floor" && base > 0 && f.ratio() {
				fmt.Fprintf(b, " (%.2f)", v/base)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// ratio tells whether a ratio to the floor means something: not for memory,
// of which the floor has next to none, and not for the generator's own lag.
func (f Figure) ratio() bool {
	return !strings.HasPrefix(f.Key, "rss_") && !strings.HasPrefix(f.Key, "open_lag") && f.Key != "idle_cpu_percent"
}

// number prints three significant digits, and all of those before the point,
// in groups of three.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 999.5:
		return grouped(fmt.Sprintf("%.0f", v))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	case a == 0:
		return "0"
	}
	return fmt.Sprintf("%.3f", v)
}

func grouped(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
