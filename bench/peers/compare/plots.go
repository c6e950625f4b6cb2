package main

import (
	"bytes"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes in points. The overview is three plots wide.
const (
	plotWidth  = vg.Length(300)
	plotHead   = vg.Length(58) // title and axis
	plotRow    = vg.Length(19) // for each server
	plotMargin = vg.Length(10)
	columns    = 3
)

// drawAll writes a plot for each headline figure, named by its key, and
// overview.svg with all of them.
func drawAll(dir string, r Result) error {
	height := plotHead + plotRow*vg.Length(len(r.Servers))
	var grid [][]*plot.Plot
	for i, f := range headline {
		p := plotOf(f, r)
		if i%columns == 0 {
			grid = append(grid, make([]*plot.Plot, columns))
		}
		grid[i/columns][i%columns] = p
		if err := drawGrid(filepath.Join(dir, f.Key+".svg"), [][]*plot.Plot{{p}}, plotWidth, height); err != nil {
			return err
		}
	}
	return drawGrid(filepath.Join(dir, "overview.svg"), grid, columns*plotWidth, height*vg.Length(len(grid)))
}

func plotOf(f Figure, r Result) *plot.Plot {
	var b bars
	for _, m := range r.Servers {
		b.names = append(b.names, m.Name)
		b.values = append(b.values, m.Figures[f.Key])
	}
	p := plot.New()
	p.Title.Text = f.Title
	p.Title.Padding = vg.Points(6)
	p.Title.TextStyle.Color = ink
	p.Title.TextStyle.Font.Size = vg.Points(10)
	better := "less is better"
	if f.Higher {
		better = "more is better"
	}
	p.X.Label.Text = f.Unit + ", " + better
	styleAxes(p)
	p.X.Tick.Marker = ticks{}
	var log bool
	if b.from, log = logarithmic(b.values); log {
		p.X.Scale = plot.LogScale{}
		p.X.Tick.Marker = decades{}
		p.X.Label.Text += ", logarithmic"
	}
	p.Add(lines{}, b)
	bottomUp := make([]string, len(b.names))
	for i, n := range b.names {
		bottomUp[len(bottomUp)-1-i] = n + " "
	}
	p.NominalY(bottomUp...)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = b.DataRange()
	return p
}

func styleAxes(p *plot.Plot) {
	p.X.Label.TextStyle.Font.Size = vg.Points(8)
	p.X.Label.TextStyle.Color = ink
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, vg.Points(0.8)
	p.X.Tick.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	p.Y.LineStyle.Color = ink
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = vg.Points(8), vg.Points(9)
	p.X.Tick.Label.Color, p.Y.Tick.Label.Color = ink, ink
}

// lines draws a faint vertical line at each labelled tick, behind the bars.
type lines struct{}

func (lines) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	style := draw.LineStyle{Color: faint, Width: vg.Points(0.6)}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if !t.IsMinor() && t.Value >= p.X.Min && t.Value <= p.X.Max {
			c.StrokeLine2(style, x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
		}
	}
}

// drawGrid draws rows of plots into one self-contained SVG file.
func drawGrid(file string, grid [][]*plot.Plot, width, height vg.Length) error {
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	tiles := draw.Tiles{
		Rows: len(grid), Cols: len(grid[0]),
		PadTop: plotMargin, PadBottom: plotMargin, PadLeft: plotMargin, PadRight: plotMargin,
		PadX: plotMargin, PadY: plotMargin,
	}
	whole.SetColor(plot.New().BackgroundColor)
	whole.Fill(whole.Rectangle.Path())
	for j, row := range grid {
		for i, p := range row {
			if p != nil {
				p.Draw(tiles.At(whole, i, j))
			}
		}
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	return os.WriteFile(file, portable(svg.Bytes()), 0o644)
}

// portable names fonts that are to be found everywhere: gonum names only the
// one that it measured the text with.
func portable(svg []byte) []byte {
	return bytes.ReplaceAll(svg,
		[]byte("font-family:Liberation Sans;"),
		[]byte("font-family:Helvetica,Arial,'Liberation Sans',sans-serif;"))
}

func init() {
	// Measure text with the font whose widths are those of Helvetica and Arial.
	plot.DefaultFont.Typeface, plot.DefaultFont.Variant = "Liberation", "Sans"
}
