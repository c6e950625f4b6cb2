package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var pageText string

var pageTemplate = template.Must(template.New("report").Parse(pageText))

// page is what the template shows.
type page struct {
	*Report
	Title   string
	When    string
	Tiles   []tile
	Plots   []plot
	Tables  []pageTable
	Trouble []string
	Line    string // the command
	Sysctls []string
}

type tile struct{ Value, Name string }

type plot struct {
	Title, Note string
	SVG         template.HTML
	Legend      []chartLegend
}

type chartLegend struct {
	Name   string
	Color  int
	Dashed bool
}

type pageTable struct {
	Title string
	Head  []string
	Rows  [][]string
}

// WriteHTML writes the report as one page that needs no other file and no network.
func (r *Report) WriteHTML(w io.Writer) error {
	p := page{
		Report: r, When: r.Started.Format("2006-01-02 15:04 UTC"), Line: strings.Join(r.Command, " "),
		Title: fmt.Sprintf("%s clients, %s", countText(uint64(r.Plan.Clients)), strings.Join(r.Plan.Targets, ", ")),
		Tiles: r.tiles(), Tables: []pageTable{r.latencyTable(), r.costTable()}, Trouble: r.trouble(),
	}
	for _, c := range r.charts() {
		if !c.empty() {
			p.Plots = append(p.Plots, c.plot())
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.Host.Sysctls)) {
		p.Sysctls = append(p.Sysctls, k+" = "+r.Host.Sysctls[k])
	}
	return pageTemplate.Execute(w, p)
}

func (c *chart) plot() plot {
	p := plot{Title: c.title, SVG: c.svg()}
	for _, l := range c.lines {
		if len(l.points) > 0 {
			p.Legend = append(p.Legend, chartLegend{l.name, l.color, l.dashed})
		}
	}
	return p
}

// tiles are the few figures to see first.
func (r *Report) tiles() []tile {
	t := []tile{{countText(uint64(r.Plan.Clients)), "clients"}}
	var bad uint64
	for i := range r.Phases {
		p := &r.Phases[i]
		bad += p.errors()
		if p.Latency != nil && p.Kind != Ramp {
			t = append(t, tile{micros(p.Latency.Quantile(.99)), p.Name + ", p99"})
		}
	}
	if n := len(r.Phases); n > 0 {
		last := &r.Phases[n-1]
		if last.Server.RSSBytes > 0 {
			t = append(t, tile{byteText(last.Server.RSSPerClient), "server memory per client"})
		}
		t = append(t, tile{byteText(last.Machine.KernelPerClient), "kernel memory per client"})
	}
	return append(t, tile{countText(bad), "errors"})
}

func (r *Report) latencyTable() pageTable {
	t := pageTable{Title: "Latency and throughput", Head: []string{"phase", "what", "count", "per second", "p50", "p90", "p99", "p99.9", "max"}}
	for i := range r.Phases {
		p := &r.Phases[i]
		what, n := p.what()
		t.Rows = append(t.Rows, append([]string{p.Name, what, someText(n), rateText(n, p.Seconds)}, p.Latency.cells()...))
		for _, extra := range p.extras() {
			t.Rows = append(t.Rows, append([]string{"", extra.name, countText(uint64(extra.h.Count())), ""}, extra.h.cells()...))
		}
	}
	return t
}

func (r *Report) costTable() pageTable {
	t := pageTable{Title: "What it took", Head: []string{"phase", "up", "seconds", "server CPU", "per event", "server memory", "per client", "kernel/client", "generator CPU", "per event"}}
	for i := range r.Phases {
		p := &r.Phases[i]
		t.Rows = append(t.Rows, []string{p.Name, countText(uint64(p.Up)), fmt.Sprintf("%.1f", p.Seconds),
			percent(p.Server.CPUShare), perEvent(p.Server.CPUPerEvent), byteText(p.Server.RSSBytes), byteText(p.Server.RSSPerClient),
			byteText(p.Machine.KernelPerClient), percent(p.Generator.CPUShare), perEvent(p.Generator.CPUPerEvent)})
	}
	return t
}

func (r *Report) trouble() []string {
	var b strings.Builder
	for i := range r.Phases {
		r.Phases[i].writeTrouble(&b)
	}
	return strings.FieldsFunc(b.String(), func(c rune) bool { return c == '\n' })
}

// charts are the page's plots: percentiles, and what happened over time.
func (r *Report) charts() []*chart {
	ns := func(v float64) string { return micros(int64(v*1e3 + .5)) }
	number := func(v float64) string { return countText(uint64(v + .5)) }
	all := []*chart{r.percentiles()}
	for _, s := range []struct {
		title string
		unit  func(float64) string
		log   bool
		lines []seriesLine
	}{
		{"Clients connected", number, false, []seriesLine{{"clients", func(p *Point) float64 { return float64(p.Up) }}}},
		{"Events per second", number, false, []seriesLine{
			{"answers", func(p *Point) float64 { return p.Messages }},
			{"deliveries", func(p *Point) float64 { return p.Deliveries }},
			{"handshakes", func(p *Point) float64 { return p.Handshakes }},
			{"errors", func(p *Point) float64 { return p.Errors }}}},
		{"Latency over time", ns, true, []seriesLine{
			{"p50", func(p *Point) float64 { return p.P50 }}, {"p99", func(p *Point) float64 { return p.P99 }}}},
		{memoryTitle, byteText, false, []seriesLine{
			{"server, resident", func(p *Point) float64 { return p.ServerRSS }},
			{"kernel, growth", func(p *Point) float64 { return max(0, p.KernelBytes) }}}},
		{"Server processor time", wholePercent, false, []seriesLine{{"of one processor", func(p *Point) float64 { return p.ServerCPU }}}},
	} {
		all = append(all, r.overTime(s.title, s.unit, s.log, s.lines))
	}
	return all
}

const memoryTitle = "Memory"

func wholePercent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

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
				if v := l.of(p); v != 0 || !log {
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
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, l := range []struct {
			h      *Hist
			name   string
			dashed bool
		}{{p.Latency, p.Name, false}, {p.Uncorrected, p.Name + ", uncorrected", true}} {
			if l.h.count() == 0 {
				continue
			}
			line := percentileLine(l.h)
			line.name, line.color, line.dashed = l.name, i%6+1, l.dashed
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
	l.points[0][1] = float64(h.min) / 1e3
	l.points = append(l.points, [2]float64{deepest, float64(h.Max()) / 1e3})
	return l
}

func percentileText(q float64) string {
	if q == 0 {
		return "min"
	}
	return "p" + strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", q*100), "0"), ".")
}
