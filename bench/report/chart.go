package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// chart is one plot, drawn as SVG that needs nothing from outside.
type chart struct {
	title string
	unit  func(float64) string // of the vertical axis
	log   bool                 // vertical axis
	bytes bool                 // vertical axis in steps of powers of two
	width float64
	lines []chartLine
	ticks []chartTick // of the horizontal axis
	bands []chartBand
	x     func(float64) string // text of a point's place on the horizontal axis
}

type chartLine struct {
	name   string
	color  int // 1.. of the page's palette
	dashed bool
	points [][2]float64
}

type chartTick struct {
	at   float64
	text string
}

// chartBand is a stretch of the horizontal axis with a name.
type chartBand struct {
	from, to float64
	name     string
}

// Size of the drawing, and of its margins.
const (
	chartW, chartWide, chartH          = 720.0, 1460.0, 270.0
	marginL, marginR, marginT, marginB = 80.0, 34.0, 24.0, 30.0
)

// chartColors are those of the page, s1 and up.
const chartColors = 8

// scale maps values to places on the drawing.
type scale struct {
	min, max float64
	from, to float64
	log      bool
}

func (s scale) at(v float64) float64 {
	a, b := s.min, s.max
	if s.log {
		v, a, b = math.Log10(max(v, s.min)), math.Log10(a), math.Log10(b)
	}
	if b == a {
		return s.from
	}
	return s.from + (v-a)/(b-a)*(s.to-s.from)
}

func (c *chart) empty() bool {
	for _, l := range c.lines {
		if len(l.points) > 0 {
			return false
		}
	}
	return true
}

// svg draws the chart.
func (c *chart) svg() template.HTML {
	c.width = cmp.Or(c.width, chartW)
	xs, ys, grid := c.scales()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, c.width, chartH, html.EscapeString(c.title))
	c.drawBands(&b, xs)
	for _, v := range grid {
		y := ys.at(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, marginL, c.width-marginR, y, y)
		fmt.Fprintf(&b, `<text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`, marginL-8, y+4, html.EscapeString(c.unit(v)))
	}
	for _, t := range c.ticks {
		if t.at >= xs.min && t.at <= xs.max {
			fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`, xs.at(t.at), chartH-marginB+18, html.EscapeString(t.text))
		}
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="%g" y2="%g"/>`, marginL, c.width-marginR, chartH-marginB, chartH-marginB)
	for i := range c.lines {
		c.drawLine(&b, &c.lines[i], xs, ys)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func (c *chart) drawBands(b *strings.Builder, xs scale) {
	for i, band := range c.bands {
		x1, x2 := xs.at(max(band.from, xs.min)), xs.at(min(band.to, xs.max))
		if x2 <= x1 {
			continue
		}
		fmt.Fprintf(b, `<rect class="band%d" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`,
			i%2, x1, marginT, x2-x1, chartH-marginT-marginB, html.EscapeString(band.name))
		if x2-x1 > 7.5*float64(len(band.name)) {
			fmt.Fprintf(b, `<text class="phase" x="%.1f" y="%g" text-anchor="middle">%s</text>`, (x1+x2)/2, marginT-8, html.EscapeString(band.name))
		}
	}
}

// hoverable is up to how many points each get a tooltip.
const hoverable = 400

func (c *chart) drawLine(b *strings.Builder, l *chartLine, xs, ys scale) {
	if len(l.points) == 0 {
		return
	}
	class := fmt.Sprintf("line s%d", l.color)
	if l.dashed {
		class += " dashed"
	}
	fmt.Fprintf(b, `<polyline class="%s" points="`, class)
	for _, p := range l.points {
		fmt.Fprintf(b, "%.1f,%.1f ", xs.at(p[0]), ys.at(p[1]))
	}
	b.WriteString(`"/>`)
	for _, p := range l.points {
		if len(l.points) == 1 {
			fmt.Fprintf(b, `<circle class="dot f%d" cx="%.1f" cy="%.1f" r="3"/>`, l.color, xs.at(p[0]), ys.at(p[1]))
		}
		if len(l.points) <= hoverable {
			fmt.Fprintf(b, `<circle class="hover" cx="%.1f" cy="%.1f" r="6"><title>%s</title></circle>`, xs.at(p[0]), ys.at(p[1]),
				html.EscapeString(fmt.Sprintf("%s, %s: %s", l.name, c.x(p[0]), c.unit(p[1]))))
		}
	}
}

// scales fits both axes to the points and places the lines of the grid.
func (c *chart) scales() (xs, ys scale, grid []float64) {
	xs = scale{min: math.Inf(1), max: math.Inf(-1), from: marginL, to: c.width - marginR}
	ys = scale{min: math.Inf(1), max: math.Inf(-1), from: chartH - marginB, to: marginT, log: c.log}
	for _, l := range c.lines {
		for _, p := range l.points {
			xs.min, xs.max = min(xs.min, p[0]), max(xs.max, p[0])
			if !c.log || p[1] > 0 {
				ys.min, ys.max = min(ys.min, p[1]), max(ys.max, p[1])
			}
		}
	}
	if math.IsInf(ys.max, 0) {
		ys.min, ys.max = 0, 1
	}
	for _, band := range c.bands {
		xs.min, xs.max = min(xs.min, band.from), max(xs.max, band.to)
	}
	switch {
	case c.log:
		grid = logGrid(&ys)
	case c.bytes:
		grid = byteGrid(&ys)
	default:
		grid = linearGrid(&ys)
	}
	return xs, ys, grid
}

// linearGrid begins at 0 and ends at a round number.
func linearGrid(s *scale) (grid []float64) {
	s.min, s.max = min(0, s.min), max(s.max, 1e-9)
	step := math.Pow(10, math.Floor(math.Log10(s.max-s.min)))
	for _, f := range []float64{.2, .25, .5, 1, 2} {
		if (s.max-s.min)/(step*f) <= 5 {
			step *= f
			break
		}
	}
	s.max = math.Ceil(s.max/step-1e-9) * step
	s.min = math.Floor(s.min/step+1e-9) * step
	for v := s.min; v <= s.max+step/2; v += step {
		grid = append(grid, v)
	}
	return grid
}

// byteGrid is linearGrid in KiB, MiB or GiB.
func byteGrid(s *scale) (grid []float64) {
	unit := 1.0
	for s.max/unit >= 1000 {
		unit *= 1024
	}
	s.min, s.max = s.min/unit, s.max/unit
	for _, v := range linearGrid(s) {
		grid = append(grid, v*unit)
	}
	s.min, s.max = s.min*unit, s.max*unit
	return grid
}

// logGrid begins and ends at 1, 2 or 5 times a power of ten.
func logGrid(s *scale) (grid []float64) {
	low, high := s.min, s.max
	decades := math.Log10(high / low)
	s.min, s.max = math.Inf(1), math.Inf(-1)
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, f := range []float64{1, 2, 5} {
			v := f * math.Pow(10, e)
			if decades > 2 && f != 1 || v < low/10.001 && decades > 2 || decades <= 2 && v < low/2.501 {
				continue
			}
			grid = append(grid, v)
			s.min, s.max = min(s.min, v), max(s.max, v)
			if v >= high {
				return grid
			}
		}
	}
	return grid
}
