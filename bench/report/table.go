package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes a report for people.
func (r *Report) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "\n%s clients, %d generator %s%s, %s, Linux %s, %d processors\n\n",
		CountText(uint64(r.Plan.Clients)), r.Workers, plural(r.Workers, "process", "processes"), r.onAgents(),
		r.against(), r.Host.Kernel, r.Host.Processors)
	for _, p := range r.Servers {
		if p.Found {
			fmt.Fprintf(w, "the server's figures are those of process %d (%s), which listens there\n\n", p.PID, p.Name)
		}
	}
	r.writeLatencies(w)
	r.writeCosts(w)
	r.writeAgents(w)
	for i := range r.Phases {
		r.Phases[i].writeTrouble(w)
	}
	if r.Interrupted {
		fmt.Fprintln(w, "interrupted: figures are of what was done until then")
	}
	for i := range r.Phases {
		if p := &r.Phases[i]; p.Unreached != "" {
			fmt.Fprintf(w, "!! NOT REACHED  phase %q: %s\n", p.Name, p.Unreached)
		}
	}
	for _, l := range r.Limits {
		fmt.Fprintf(w, "!! GENERATOR-LIMITED  %s\n", l)
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func columns(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func row(t io.Writer, cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }

// writeLatencies has one line a phase, and more for what is beside its main figure.
func (r *Report) writeLatencies(w io.Writer) {
	t := columns(w)
	row(t, "phase", "what", "count", "rate/s", "p50", "p90", "p99", "p99.9", "max")
	for i := range r.Phases {
		p := &r.Phases[i]
		what, n := p.what()
		row(t, append([]string{p.Name, what, someText(n), p.rateText()}, p.Latency.cells()...)...)
		for _, extra := range p.extras() {
			row(t, append([]string{"", extra.name, CountText(uint64(extra.h.Count())), ""}, extra.h.cells()...)...)
		}
	}
	t.Flush()
	fmt.Fprintln(w)
}

type namedHist struct {
	name string
	h    *Hist
}

// extras are the histograms that a phase has beside its main one.
func (p *Phase) extras() []namedHist {
	return slices.DeleteFunc([]namedHist{
		{"tcp connect", p.Connect}, {"upgrade", p.Upgrade}, {"first answer", p.First},
		{"uncorrected", p.Uncorrected}, {"own lag", p.Lag},
		{"fan-out", p.besideFanout()}, {"to first", p.ToFirst}, {"to last", p.ToLast}, {"publish call", p.Call},
	}, func(n namedHist) bool { return n.h == nil })
}

// besideFanout is the fan-out of a phase that is about something else.
func (p *Phase) besideFanout() *Hist {
	if p.Kind == Publish {
		return nil
	}
	return p.Fanout
}

// what names what a phase's main line counts.
func (p *Phase) what() (string, uint64) {
	switch p.Kind {
	case Ramp:
		return "handshakes", p.Handshakes
	case Publish:
		return "deliveries", p.Deliveries
	case Storm:
		return "came back", uint64(p.Latency.Count())
	case Hold:
		return "idle", 0
	}
	return "answers", p.Messages
}

func (p *Phase) rateText() string {
	if p.rate() == 0 {
		return ""
	}
	return CountText(uint64(p.rate() + .5))
}

// someText leaves a count of nothing out.
func someText(n uint64) string {
	if n == 0 {
		return ""
	}
	return CountText(n)
}

func (h *Hist) cells() []string {
	if h.Count() == 0 {
		return []string{"", "", "", "", ""}
	}
	return []string{micros(h.Quantile(.5)), micros(h.Quantile(.9)), micros(h.Quantile(.99)), micros(h.Quantile(.999)), micros(h.Max())}
}

// writeCosts has what each phase took of the server, the kernel and ourselves.
func (r *Report) writeCosts(w io.Writer) {
	t := columns(w)
	head, rows := r.costs()
	row(t, head...)
	for _, cells := range rows {
		row(t, cells...)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// costs are the columns of what each phase took, without those that nothing was
// measured for.
func (r *Report) costs() (head []string, rows [][]string) {
	rows = make([][]string, len(r.Phases))
	for _, c := range costColumns {
		cells, some := make([]string, len(rows)), false
		for i := range r.Phases {
			cells[i] = c.of(&r.Phases[i])
			some = some || cells[i] != ""
		}
		if !some {
			continue
		}
		head = append(head, c.name)
		for i := range rows {
			rows[i] = append(rows[i], cells[i])
		}
	}
	return head, rows
}

var costColumns = []struct {
	name string
	of   func(*Phase) string
}{
	{"phase", func(p *Phase) string { return p.Name }},
	{"up", func(p *Phase) string { return CountText(uint64(p.Up)) }},
	{"seconds", func(p *Phase) string { return fmt.Sprintf("%.1f", p.Seconds) }},
	{"server cpu", func(p *Phase) string { return textOf(p.Server.CPUShare, percent) }},
	{"waits", func(p *Phase) string { return textOf(p.Server.WaitShare, percent) }},
	{"per event", func(p *Phase) string { return textOf(p.Server.CPUPerEvent, perEvent) }},
	{"rss", func(p *Phase) string { return textOf(p.Server.RSSBytes, ByteText) }},
	{"per client", func(p *Phase) string { return textOf(p.Server.RSSPerClient, ByteText) }},
	{"kernel/client", func(p *Phase) string { return textOf(p.Machine.KernelPerClient, ByteText) }},
	{"generator cpu", func(p *Phase) string { return percent(p.Generator.CPUShare) }},
	{"per event", func(p *Phase) string { return perEvent(p.Generator.CPUPerEvent) }},
	{"rss/client", func(p *Phase) string {
		if p.Up == 0 {
			return ""
		}
		return ByteText(p.Generator.RSSPerClient)
	}},
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

func perEvent(us float64) string {
	if us == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f µs", us)
}

// writeTrouble has a line for everything that went wrong or was provoked.
func (p *Phase) writeTrouble(w io.Writer) {
	if h := p.Latency; p.Kind == Storm && h != nil {
		fmt.Fprintf(w, "  %s: 50 %% were back after %s, 95 %% after %s, 100 %% after %s\n",
			p.Name, micros(h.Quantile(.5)), micros(h.Quantile(.95)), micros(h.Max()))
	}
	for _, c := range []struct {
		n    uint64
		text string
	}{
		{p.Failed, "clients never connected"}, {p.Retries, "handshakes were tried again"},
		{p.Lost, "lost"}, {p.Late, "late"}, {p.Duplicates, "duplicates"}, {p.Reordered, "out of order"},
		{p.WrongAnswers, "wrong answers"}, {p.Unsolicited, "unsolicited messages"},
		{p.Unsent, "due but not sent"}, {p.UnexpectedCloses, "connections closed unexpectedly"},
		{p.PongsDropped, "pings not answered: the server did not read"},
		{p.Overflows, "connections ended because too much was half received or half sent (max_buffered)"},
	} {
		if c.n > 0 {
			fmt.Fprintf(w, "! %s: %s %s\n", p.Name, CountText(c.n), c.text)
		}
	}
	writeKinds(w, p.Name+": closed with", p.Closes)
	writeKinds(w, p.Name+": handshake failed with", p.Errors)
	writeKinds(w, p.Name+": refused with HTTP status", p.Statuses)
	for i := range p.Groups {
		g := &p.Groups[i]
		// In the ramp the group has its line even if nobody has got through yet.
		if g.Opened+g.Refused+len(g.Closes) == 0 && p.Kind != Ramp {
			continue
		}
		fmt.Fprintf(w, "  %s: %d %s: %d connected, %d refused in the handshake", p.Name, g.Count, g.Behaviour, g.Opened, g.Refused)
		if g.ClosedAfter.Count() > 0 {
			fmt.Fprintf(w, ", %d ended after %s to %s", g.ClosedAfter.Count(), micros(g.ClosedAfter.Min()), micros(g.ClosedAfter.Max()))
		}
		fmt.Fprintln(w)
		writeKinds(w, p.Name+": "+g.Behaviour+" ended with", g.Closes)
	}
}

func writeKinds(w io.Writer, what string, kinds map[string]uint64) {
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(w, "  %s %s: %s\n", what, k, CountText(kinds[k]))
	}
}
