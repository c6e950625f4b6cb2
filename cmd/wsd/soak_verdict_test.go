package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// point is a measure at a time.
type point struct{ x, y float64 }

// slope is the median of the slopes between any two points (Theil and Sen): up to
// a quarter of the points may be anything. scatter is that of the points around
// that line, as a standard deviation, from their median distance.
func slope(points []point) (k, scatter float64) {
	var slopes []float64
	for i, a := range points {
		for _, b := range points[:i] {
			if a.x != b.x {
				slopes = append(slopes, (a.y-b.y)/(a.x-b.x))
			}
		}
	}
	k = median(slopes)
	var above []float64
	for _, p := range points {
		above = append(above, p.y-k*p.x)
	}
	middle := median(slices.Clone(above))
	for i := range above {
		above[i] = math.Abs(above[i] - middle)
	}
	return k, 1.4826 * median(above)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// trend is the gain of a measure in a window, and what it may be: the room that
// the measure has, and four standard errors of the slope. By chance alone more
// than that comes once in 30,000 times.
type trend struct {
	from, to     float64 // x
	middle       float64 // median of y
	gain, allows float64
	points       int
}

func newTrend(points []point, room float64) trend {
	r := trend{points: len(points)}
	if len(points) == 0 {
		return r
	}
	k, scatter := slope(points)
	var ys []float64
	for _, p := range points {
		ys = append(ys, p.y)
	}
	r.from, r.to, r.middle = points[0].x, points[len(points)-1].x, median(ys)
	r.gain = k * (r.to - r.from)
	r.allows = room + 4*scatter*math.Sqrt(12/float64(len(points)))
	return r
}

func (r trend) flat() bool { return r.gain <= r.allows }

// enoughPoints is how many samples a slope is taken from, at least.
const enoughPoints = 8

// judge says whether anything grows: over the second half, in one process; and
// over the second half of the upgrades of the first, from one process to the next.
func (s *soak) judge() {
	s.t.Helper()
	life := func(p sample) bool {
		warm := s.turn + (s.plan.length-s.turn)/5
		return p.at > warm && p.at < s.plan.length
	}
	var handed []sample // right behind each upgrade of the first half
	for i, p := range s.samples {
		if i > 0 && p.upgrades > s.samples[i-1].upgrades && p.at <= s.turn {
			handed = append(handed, p)
		}
	}
	handed = handed[len(handed)/2:]
	var lived []sample
	for _, p := range s.samples {
		if life(p) {
			lived = append(lived, p)
		}
	}
	s.compare("one process, second half", lived)
	s.compare("from process to process", handed)
	if n := len(lived) - 1; n > 0 {
		s.note("the server took %.1f %% of a processor", 100*(lived[n].cpu-lived[0].cpu)/(lived[n].at-lived[0].at).Seconds())
	}
	s.rest()
	verdict := "flat, and all counters agree"
	if s.t.Failed() {
		verdict = "FAILED"
	}
	s.note("verdict: %s", verdict)
	head := fmt.Sprintf("wsd soak: %v, seed %d, %d members\n\n", s.plan.length, s.seed, s.plan.members)
	s.t.Logf("%s%s", head, s.report.String())
	s.writeOut(".txt", head+s.report.String())
	s.writeOut(".svg", s.plot())
}

func (s *soak) compare(title string, samples []sample) {
	s.t.Helper()
	if len(samples) < enoughPoints {
		s.note("%s: only %d samples, too few to judge", title, len(samples))
		return
	}
	s.note("%s: %d samples, %v", title, len(samples), (samples[len(samples)-1].at - samples[0].at).Round(time.Second))
	for i, m := range measures[:unjudged] {
		var points []point
		for _, p := range samples {
			points = append(points, point{p.at.Hours(), p.v[i]})
		}
		r := newTrend(points, m.room)
		said := "flat"
		if !r.flat() {
			said = "FAILED"
			s.t.Errorf("%s grows, %s: by %s, may be %s", m.name, title, m.text(r.gain), m.text(r.allows))
		}
		s.note("  %-34s median %12s  gain %12s of %12s (%s an hour)  %s", m.name, m.text(r.middle), m.text(r.gain), m.text(r.allows),
			m.text(r.gain/(r.to-r.from)), said)
	}
}

// rest compares the first sample with the last, between which everybody came and
// went: only the members were there. Caches have grown, so memory is not compared.
func (s *soak) rest() {
	s.t.Helper()
	first, last := s.samples[0], s.samples[len(s.samples)-1]
	for i, m := range measures[:unjudged] {
		if m.bytes {
			continue
		}
		s.note("at rest, %s: %s at the beginning, %s at the end", m.name, m.text(first.v[i]), m.text(last.v[i]))
		if last.v[i] > first.v[i]+m.room {
			s.t.Errorf("at rest, %s: %v at the beginning, %v at the end", m.name, first.v[i], last.v[i])
		}
	}
}

// plot draws every measure over the run: its samples, when there was an upgrade,
// and where the second half begins.
func (s *soak) plot() string {
	const width, height, left, top, gap = 900.0, 110.0, 110.0, 24.0, 30.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n",
		left+width+10, top+float64(len(measures))*(height+gap))
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	end := max(s.plan.length, s.samples[len(s.samples)-1].at)
	x := func(at time.Duration) float64 { return left + width*float64(at)/float64(end) }
	for i, m := range measures {
		y0 := top + float64(i)*(height+gap)
		least, most := math.Inf(1), math.Inf(-1)
		for _, p := range s.samples {
			least, most = min(least, p.v[i]), max(most, p.v[i])
		}
		least = min(0, least)
		most = cmp.Or(most-least, 1) + least
		y := func(v float64) float64 { return y0 + height*(1-(v-least)/(most-least)) }
		fmt.Fprintf(&b, `<text x="%g" y="%.1f" font-weight="bold">%s</text>`+"\n", left, y0-5, m.name)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%g" fill="#eef4fb"/>`+"\n", x(s.turn), y0, left+width-x(s.turn), height)
		for _, at := range s.upgraded {
			fmt.Fprintf(&b, `<path d="M%.1f %.1fv%g" stroke="#ccc"/>`, x(at), y0, height)
		}
		for _, v := range []float64{least, most} {
			fmt.Fprintf(&b, `<text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, y(v)+4, m.text(v))
		}
		b.WriteString(`<polyline fill="none" stroke="#1f5fa8" points="`)
		for _, p := range s.samples {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p.at), y(p.v[i]))
		}
		b.WriteString(`"/>` + "\n")
	}
	fmt.Fprintf(&b, `<text x="%g" y="%.1f">0</text><text x="%g" y="%.1f" text-anchor="end">%v; grey: upgrades; shaded: one process</text>`+"\n</svg>\n",
		left, top+float64(len(measures))*(height+gap)-12, left+width, top+float64(len(measures))*(height+gap)-12, end.Round(time.Second))
	return b.String()
}

// A slope is that of the line, whatever is strewn around it; a saw-tooth has
// none, and does not hide a leak.
func TestTrend(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func() float64 { return rnd.NormFloat64() * 3 }
	for _, c := range []struct {
		name string
		y    func(i int) float64
		flat bool
	}{
		{"nothing", func(int) float64 { return 7 }, true},
		{"noise", func(int) float64 { return 100 + noise() }, true},
		{"a saw-tooth", func(i int) float64 { return float64(i % 23) }, true},
		{"spikes", func(i int) float64 { return 5 + 1000*float64(i%10/9) }, true},
		{"less and less", func(i int) float64 { return -float64(i) }, true},
		{"a leak", func(i int) float64 { return float64(i) / 20 }, false},
		{"a leak under noise", func(i int) float64 { return float64(i)/5 + noise() }, false},
		{"a leak under a saw-tooth", func(i int) float64 { return float64(i)/2 + float64(i%23) }, false},
		{"a leak under spikes", func(i int) float64 { return float64(i)/10 + 1000*float64(i%10/9) }, false},
	} {
		var points []point
		for i := range 100 {
			points = append(points, point{float64(i), c.y(i)})
		}
		if r := newTrend(points, 2); r.flat() != c.flat {
			t.Errorf("%s: flat is %v: %+v", c.name, r.flat(), r)
		}
	}
	if k, scatter := slope([]point{{0, 1}, {1, 3}, {2, 5}, {3, 7}}); k != 2 || scatter != 0 {
		t.Errorf("slope %v, scatter %v", k, scatter)
	}
}
