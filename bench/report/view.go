package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// View shows a run while it goes on: one line that is rewritten in a terminal,
// a plain line every few seconds anywhere else. It is an Observer.
type View struct {
	w        io.Writer
	terminal bool
	width    int
	drawn    bool // a line stands there that is to be rewritten
	plain    time.Duration
}

// plainEvery is how often a view that is no terminal says something.
const plainEvery = 5 * time.Second

// Progress is how the running phase is going.
type Progress struct {
	Phase   string // its name
	Elapsed time.Duration
	Done    float64 // the share of the phase that is over, from 0 to 1
	Counts  Counts
	Point   Point
}

// NewView shows on w. If that is a terminal, width is how many characters a
// line of it takes; otherwise 0.
func NewView(w io.Writer, width int) *View {
	return &View{w: w, terminal: width > 0, width: width}
}

// Warn tells of something that does not stop the run.
func (v *View) Warn(text string) { v.line("warning: " + text) }

// Begin is the begin of a phase.
func (v *View) Begin(phase string) {
	v.plain = 0
	if !v.terminal {
		v.line(fmt.Sprintf("%s: begins", phase))
	}
}

// Progress shows how the phase is going.
func (v *View) Progress(p *Progress) {
	if v.terminal {
		v.draw(bar(p.Done) + " " + progressText(p))
		return
	}
	if p.Elapsed >= v.plain+plainEvery {
		v.plain = p.Elapsed
		v.line(progressText(p))
	}
}

// End leaves one line about the phase.
func (v *View) End(p *Phase) {
	what, n := p.what()
	text := fmt.Sprintf("%s: %s up, %.1f s", p.Name, CountText(uint64(p.Up)), p.Seconds)
	if n > 0 {
		text += fmt.Sprintf(", %s %s (%s/s)", CountText(n), what, p.rateText())
	}
	if p.Latency != nil {
		text += fmt.Sprintf(", p50 %s p99 %s max %s", micros(p.Latency.Quantile(.5)), micros(p.Latency.Quantile(.99)), micros(p.Latency.Max()))
	}
	if bad := p.Faults(); bad > 0 {
		text += fmt.Sprintf(", %s ERRORS", CountText(bad))
	}
	if p.Unreached != "" {
		text += ", NOT REACHED: " + p.Unreached
	}
	v.line(text)
}

// Close leaves the terminal in order.
func (v *View) Close() {
	if v.drawn {
		fmt.Fprint(v.w, "\r\x1b[K")
		v.drawn = false
	}
}

// line writes a line that stays.
func (v *View) line(text string) {
	v.Close()
	fmt.Fprintln(v.w, text)
}

// draw writes the line that the next one replaces, cut to the terminal.
func (v *View) draw(text string) {
	if r := []rune(text); len(r) >= v.width {
		text = string(r[:v.width-1])
	}
	fmt.Fprint(v.w, "\r\x1b[K"+text)
	v.drawn = true
}

// bar shows a share from 0 to 1.
func bar(done float64) string {
	const cells = 12
	n := min(max(int(done*cells), 0), cells)
	return strings.Repeat("█", n) + strings.Repeat("░", cells-n)
}

func progressText(p *Progress) string {
	pt := &p.Point
	text := fmt.Sprintf("%s %.0fs: %s up", p.Phase, p.Elapsed.Seconds(), CountText(uint64(pt.Up)))
	for _, r := range []struct {
		rate float64
		name string
	}{{pt.Handshakes, "handshakes"}, {pt.Messages, "answers"}, {pt.Deliveries, "deliveries"}} {
		if r.rate > 0 {
			text += fmt.Sprintf(", %s %s/s", CountText(uint64(r.rate+.5)), r.name)
		}
	}
	if pt.P99 > 0 {
		text += fmt.Sprintf(", p50 %s p99 %s", micros(int64(pt.P50*1e3)), micros(int64(pt.P99*1e3)))
	}
	if server := strings.TrimSpace(textOf(pt.ServerCPU, percent) + " " + textOf(pt.ServerRSS, ByteText)); server != "" {
		text += ", server " + server
	}
	if bad := p.Counts.Faults(); bad > 0 {
		text += fmt.Sprintf(", %s errors", CountText(bad))
	}
	return text + p.Counts.Refusal()
}

// Refusal says what most attempts to connect came to that failed, "" if none
// did, so that nobody has to wait for the report of a ramp that cannot succeed.
func (c *Counts) Refusal() string {
	most, n := "", uint64(0)
	for what, kinds := range map[string]Kinds{"": c.Errors, "HTTP status ": c.Statuses} {
		for kind, k := range kinds {
			if strings.HasSuffix(kind, "did not switch protocols") {
				continue // its status says more
			}
			if text := what + kind; k > n || k == n && text > most {
				most, n = text, k
			}
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %s attempts failed: %s", CountText(n), most)
}
