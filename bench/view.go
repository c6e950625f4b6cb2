package bench

import (
	"fmt"
	"io"
	"os"
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

// NewView shows on w.
func NewView(w io.Writer) *View {
	v := &View{w: w, width: 100}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if n, ok := terminalWidth(f); ok {
			v.terminal, v.width = true, n
		}
	}
	return v
}

// Warn tells of something that does not stop the run.
func (v *View) Warn(text string) { v.line("warning: " + text) }

// Begin is the begin of a phase.
func (v *View) Begin(i int, ph *Phase) {
	v.plain = 0
	if !v.terminal {
		v.line(fmt.Sprintf("%s: begins", ph.Name))
	}
}

// Progress shows how the phase is going.
func (v *View) Progress(p *Progress) {
	if v.terminal {
		v.draw(v.bar(p) + " " + progressText(p))
		return
	}
	if p.Elapsed >= v.plain+plainEvery {
		v.plain = p.Elapsed
		v.line(progressText(p))
	}
}

// End leaves one line about the phase.
func (v *View) End(p *PhaseReport) {
	what, n := p.what()
	text := fmt.Sprintf("%s: %s up, %.1f s", p.Name, countText(uint64(p.Up)), p.Seconds)
	if n > 0 {
		text += fmt.Sprintf(", %s %s (%s/s)", countText(n), what, rateText(n, p.Seconds))
	}
	if p.Latency != nil {
		text += fmt.Sprintf(", p50 %s p99 %s max %s", micros(p.Latency.Quantile(.5)), micros(p.Latency.Quantile(.99)), micros(p.Latency.Max()))
	}
	if bad := p.Faults(); bad > 0 {
		text += fmt.Sprintf(", %s ERRORS", countText(bad))
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

// bar is how far the phase is: of its clients in a ramp, of its time otherwise.
func (v *View) bar(p *Progress) string {
	const cells = 12
	done := float64(p.Elapsed) / float64(p.Phase.Duration)
	switch p.Phase.Kind {
	case Ramp, Storm:
		done = float64(p.Point.Up) / float64(p.Clients)
	case Publish:
		done = ratio(float64(p.Counts.Deliveries), float64(p.Phase.Count*p.Point.Up))
	}
	n := min(max(int(done*cells), 0), cells)
	return strings.Repeat("█", n) + strings.Repeat("░", cells-n)
}

func progressText(p *Progress) string {
	pt := &p.Point
	text := fmt.Sprintf("%s %.0fs: %s up", p.Phase.Name, p.Elapsed.Seconds(), countText(uint64(pt.Up)))
	for _, r := range []struct {
		rate float64
		name string
	}{{pt.Handshakes, "handshakes"}, {pt.Messages, "answers"}, {pt.Deliveries, "deliveries"}} {
		if r.rate > 0 {
			text += fmt.Sprintf(", %s %s/s", countText(uint64(r.rate+.5)), r.name)
		}
	}
	if pt.P99 > 0 {
		text += fmt.Sprintf(", p50 %s p99 %s", micros(int64(pt.P50*1e3)), micros(int64(pt.P99*1e3)))
	}
	if server := strings.TrimSpace(textOf(pt.ServerCPU, percent) + " " + textOf(pt.ServerRSS, byteText)); server != "" {
		text += ", server " + server
	}
	if bad := p.Counts.Faults(); bad > 0 {
		text += fmt.Sprintf(", %s errors", countText(bad))
	}
	return text + refusal(&p.Counts)
}

// refusal says what most attempts to connect came to that failed, so that
// nobody has to wait for the report of a ramp that cannot succeed.
func refusal(c *Counts) string {
	most, n := "", uint64(0)
	for what, kinds := range map[string]map[string]uint64{"": c.Errors, "HTTP status ": c.Statuses} {
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
	return fmt.Sprintf(", %s attempts failed: %s", countText(n), most)
}
