package main

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bars is a plotter: one horizontal bar for each server, the first on top,
// with its value behind it and a whisker from the best to the worst round.
// gonum's own bar chart knows neither logarithmic axes nor values.
type bars struct {
	names  []string
	values []Spread
	from   float64 // where bars begin: 0, or the left end of a logarithmic axis
}

const (
	barWidth  = vg.Length(13)
	labelSize = vg.Length(8)
	labelGap  = vg.Length(4)
)

var (
	ink      = color.RGBA{0x24, 0x29, 0x2f, 0xff}
	faint    = color.RGBA{0xd8, 0xde, 0xe4, 0xff}
	ofFloor  = color.RGBA{0xaf, 0xb8, 0xc1, 0xff}
	ofWsd    = color.RGBA{0x1a, 0x7f, 0x64, 0xff}
	ofOthers = color.RGBA{0x7b, 0x9c, 0xc4, 0xff}
)

func colorOf(name string) color.Color {
	switch name {
	case "floor":
		return ofFloor
	case "wsd":
		return ofWsd
	}
	return ofOthers
}

// row is the height of bar i on the nominal axis, which counts from below.
func (b bars) row(i int) float64 { return float64(len(b.values) - 1 - i) }

func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := func(v float64) vg.Length { return x(max(v, b.from)) }
	whisker := draw.LineStyle{Color: ink, Width: vg.Points(0.8)}
	style := text.Style{
		Color:   ink,
		Font:    font.From(plot.DefaultFont, labelSize),
		YAlign:  draw.YCenter,
		Handler: plot.DefaultTextHandler,
	}
	for i, v := range b.values {
		mid := y(b.row(i))
		end := at(v.Median)
		c.FillPolygon(colorOf(b.names[i]), []vg.Point{
			{X: x(b.from), Y: mid - barWidth/2}, {X: end, Y: mid - barWidth/2},
			{X: end, Y: mid + barWidth/2}, {X: x(b.from), Y: mid + barWidth/2},
		})
		if v.Max > v.Min {
			c.StrokeLine2(whisker, at(v.Min), mid, at(v.Max), mid)
			end = max(end, at(v.Max))
		}
		c.FillText(style, vg.Point{X: end + labelGap, Y: mid}, number(v.Median))
	}
}

// DataRange leaves room on the right for the value behind the longest bar.
func (b bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	top := b.from
	for _, v := range b.values {
		top = max(top, v.Max)
	}
	const room = 1.18
	if b.from > 0 {
		xmax = b.from * math.Pow(max(top/b.from, 10), room)
	} else {
		xmax = max(top, math.SmallestNonzeroFloat32) * room
	}
	return b.from, xmax, -0.6, float64(len(b.values)) - 0.4
}

// logarithmic tells whether the values lie too far apart for a linear axis,
// and where such an axis begins.
func logarithmic(values []Spread) (from float64, yes bool) {
	const far = 30
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		if v.Median > 0 {
			least = min(least, v.Min, v.Median)
		}
		most = max(most, v.Median)
	}
	if least <= 0 || math.IsInf(least, 1) || most/least < far {
		return 0, false
	}
	return math.Pow(10, math.Floor(math.Log10(least/1.5))), true
}
