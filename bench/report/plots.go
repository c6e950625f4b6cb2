package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// charts are the page's plots: percentiles, and what happened over time.
func (r *Report) charts() []*chart {
	ns := func(v float64) string { return micros(int64(v*1e3 + .5)) }
	count := func(v float64) string { return CountText(uint64(v + .5)) }
	all := []*chart{r.percentiles()}
	for _, s := range []struct {
		title string
		unit  func(float64) string
		log   bool
		lines []seriesLine
	}{
		{"Clients connected", count, false, []seriesLine{{"clients", func(p *Point) float64 { return float64(p.Up) }}}},
		{"Events per second", count, false, []seriesLine{
			{"answers", func(p *Point) float64 { return p.Messages }},
			{"deliveries", func(p *Point) float64 { return p.Deliveries }},
			{"handshakes", func(p *Point) float64 { return p.Handshakes }},
			{"errors", func(p *Point) float64 { return p.Errors }}}},
		{"Latency over time", ns, true, []seriesLine{
			{"p50", func(p *Point) float64 { return p.P50 }}, {"p99", func(p *Point) float64 { return p.P99 }}}},
		{memoryTitle, ByteText, false, []seriesLine{
			{"server, resident", func(p *Point) float64 { return seen(p.ServerRSS) }},
			{"kernel, growth", func(p *Point) float64 { return max(0, seen(p.KernelBytes)) }}}},
		{"Server processor time", wholePercent, false, []seriesLine{{"of one processor", func(p *Point) float64 { return seen(p.ServerCPU) }}}},
	} {
		all = append(all, r.overTime(s.title, s.unit, s.log, s.lines))
	}
	return all
}

const memoryTitle = "Memory"

func wholePercent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

// seen is a figure of a point, not a number if it was not measured.
func seen(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

type seriesLine struct {
	name string
	of   func(*Point) float64
}

// overTime plots figures of all phases; those that are 0 throughout are left out.
func (r *Report) overTime(title string, unit func(float64) string, log bool, lines []seriesLine) *chart {
	c := &chart{title: title, unit: unit, log: log, x: seconds, bytes: title == memoryTitle}
	end := 0.0
	for i := range r.Phases {
		s := r.Phases[i].Series
		if len(s) == 0 {
			continue
		}
		last := s[len(s)-1].At
		c.bands = append(c.bands, chartBand{end, last, r.Phases[i].Name})
		end = last
	}
	for i, l := range lines {
		line := chartLine{name: l.name, color: i + 1}
		if l.name == "clients" {
			line.points = [][2]float64{{0, 0}}
		}
		some := false
		for k := range r.Phases {
			for j := range r.Phases[k].Series {
				p := &r.Phases[k].Series[j]
				if v := l.of(p); (v != 0 || !log) && !math.IsNaN(v) {
					line.points = append(line.points, [2]float64{p.At, v})
					some = some || v != 0
				}
			}
		}
		if some {
			c.lines = append(c.lines, line)
		}
	}
	c.ticks = timeTicks(end)
	return c
}

func seconds(v float64) string { return fmt.Sprintf("%.0f s", v) }

func timeTicks(end float64) (ticks []chartTick) {
	s := scale{max: end}
	for _, v := range linearGrid(&s) {
		ticks = append(ticks, chartTick{v, round(time.Duration(v * 1e9)).String()})
	}
	return ticks
}

// percentiles plots every phase's latencies over how rare they are.
func (r *Report) percentiles() *chart {
	c := &chart{title: "Latency by percentile", log: true, width: chartWide,
		unit: func(v float64) string { return micros(int64(v*1e3 + .5)) },
		x:    func(v float64) string { return percentileText(1 - math.Pow(10, -v)) }}
	deepest := 0.0
	color := 0 // phases without latencies take none
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Latency.Count() > 0 {
			color = color%chartColors + 1
		}
		for _, l := range []struct {
			h      *Hist
			name   string
			dashed bool
		}{{p.Latency, p.Name, false}, {p.Uncorrected, p.Name + ", uncorrected", true}} {
			if l.h.Count() == 0 {
				continue
			}
			line := percentileLine(l.h)
			line.name, line.color, line.dashed = l.name, color, l.dashed
			c.lines = append(c.lines, line)
			deepest = max(deepest, line.points[len(line.points)-1][0])
		}
	}
	for nines := 0; float64(nines) <= deepest+.01; nines++ {
		c.ticks = append(c.ticks, chartTick{float64(nines), percentileText(1 - math.Pow(10, -float64(nines)))})
	}
	return c
}

// percentileLine has 12 points for each further nine, down to the last value.
func percentileLine(h *Hist) (l chartLine) {
	deepest := math.Log10(max(float64(h.Count()), 10))
	for x := 0.0; x < deepest; x += 1.0 / 12 {
		l.points = append(l.points, [2]float64{x, float64(h.Quantile(1-math.Pow(10, -x))) / 1e3})
	}
	l.points[0][1] = float64(h.Min()) / 1e3
	l.points = append(l.points, [2]float64{deepest, float64(h.Max()) / 1e3})
	return l
}

func percentileText(q float64) string {
	if q == 0 {
		return "min"
	}
	return "p" + strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", q*100), "0"), ".")
}
