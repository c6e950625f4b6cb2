package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
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
		Title: fmt.Sprintf("%s clients, %s", CountText(uint64(r.Plan.Clients)), r.against()),
		Tiles: r.tiles(), Tables: []pageTable{r.latencyTable(), r.costTable()}, Trouble: r.trouble(),
	}
	if rows := r.agentRows(); len(rows) > 0 {
		p.Tables = append(p.Tables, pageTable{Title: "Agents", Head: agentHead, Rows: rows})
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

// against names what the load was put on.
func (r *Report) against() string {
	if len(r.Plan.Targets) == 0 {
		return "nothing"
	}
	if n := len(r.Plan.Targets); n > 1 {
		return fmt.Sprintf("%s and %d more", r.Plan.Targets[0], n-1)
	}
	return r.Plan.Targets[0]
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
	t := []tile{{CountText(uint64(r.Plan.Clients)), "clients"}}
	var bad uint64
	for i := range r.Phases {
		p := &r.Phases[i]
		bad += p.Faults()
		if p.Latency != nil && p.Kind != Ramp {
			t = append(t, tile{micros(p.Latency.Quantile(.99)), p.Name + ", p99"})
		}
	}
	if n := len(r.Phases); n > 0 {
		last := &r.Phases[n-1]
		for _, f := range []struct {
			v    *float64
			name string
		}{{last.Server.RSSPerClient, "server memory per client"}, {last.Machine.KernelPerClient, "kernel memory per client"}} {
			if f.v != nil {
				t = append(t, tile{ByteText(*f.v), f.name})
			}
		}
	}
	return append(t, tile{CountText(bad), "errors"})
}

func (r *Report) latencyTable() pageTable {
	t := pageTable{Title: "Latency and throughput", Head: []string{"phase", "what", "count", "per second", "p50", "p90", "p99", "p99.9", "max"}}
	for i := range r.Phases {
		p := &r.Phases[i]
		what, n := p.what()
		t.Rows = append(t.Rows, append([]string{p.Name, what, someText(n), p.rateText()}, p.Latency.cells()...))
		for _, extra := range p.extras() {
			t.Rows = append(t.Rows, append([]string{"", extra.name, CountText(uint64(extra.h.Count())), ""}, extra.h.cells()...))
		}
	}
	return t
}

func (r *Report) costTable() pageTable {
	head, rows := r.costs()
	return pageTable{Title: "What it took", Head: head, Rows: rows}
}

func (r *Report) trouble() []string {
	var b strings.Builder
	for i := range r.Phases {
		r.Phases[i].writeTrouble(&b)
		fmt.Fprintln(&b, r.Phases[i].clockText())
	}
	return strings.FieldsFunc(b.String(), func(c rune) bool { return c == '\n' })
}
