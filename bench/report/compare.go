package report

import (
	"errors"
	"fmt"
	"io"
)

// Compare writes, for the phases that both reports have, what b has to a.
func Compare(w io.Writer, a, b *Report) error {
	t := columns(w)
	row(t, "phase", "figure", "first", "second", "ratio")
	found := false
	for i := range a.Phases {
		for k := range b.Phases {
			if a.Phases[i].Name == b.Phases[k].Name {
				comparePhase(t, &a.Phases[i], &b.Phases[k])
				found = true
			}
		}
	}
	t.Flush()
	for i, r := range []*Report{a, b} {
		for _, l := range r.Limits {
			fmt.Fprintf(w, "!! %s is GENERATOR-LIMITED  %s\n", []string{"the first", "the second"}[i], l)
		}
	}
	if !found {
		return errors.New("the reports have no phase in common")
	}
	return nil
}

func comparePhase(t io.Writer, a, b *Phase) {
	line := func(name string, x, y float64, text func(float64) string) {
		if x == 0 && y == 0 {
			return
		}
		quotient := fmt.Sprintf("%.3f", y/x)
		switch {
		case x < 0 || y < 0, y == 0 && name != "errors" && name != "rate/s":
			quotient = "-" // growth that shrank, or what one report has not measured
		case x == 0:
			quotient = "new"
		}
		row(t, a.Name, name, text(x), text(y), quotient)
	}
	ns := func(v float64) string { return micros(int64(v)) }
	count := func(v float64) string { return CountText(uint64(v + .5)) }
	line("rate/s", a.rate(), b.rate(), count)
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", .5}, {"p99", .99}, {"p99.9", .999}, {"max", 1}} {
		line(q.name, float64(a.Latency.Quantile(q.q)), float64(b.Latency.Quantile(q.q)), ns)
	}
	line("to last p50", float64(a.ToLast.Quantile(.5)), float64(b.ToLast.Quantile(.5)), ns)
	line("own lag p99", float64(a.Lag.Quantile(.99)), float64(b.Lag.Quantile(.99)), ns)
	line("server cpu/event", number(a.Server.CPUPerEvent)*1e3, number(b.Server.CPUPerEvent)*1e3, ns)
	line("server rss/client", number(a.Server.RSSPerClient), number(b.Server.RSSPerClient), ByteText)
	line("kernel/client", number(a.Machine.KernelPerClient), number(b.Machine.KernelPerClient), ByteText)
	line("generator cpu/event", a.Generator.CPUPerEvent*1e3, b.Generator.CPUPerEvent*1e3, ns)
	line("errors", float64(a.Faults()), float64(b.Faults()), count)
}
