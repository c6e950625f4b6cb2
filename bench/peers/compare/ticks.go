package main

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// ticks marks a linear axis from 0 at four to seven round numbers.
type ticks struct{}

func (ticks) Ticks(_, most float64) []plot.Tick {
	if most <= 0 || math.IsInf(most, 1) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(most/3)))
	for _, by := range []float64{2, 2.5, 2} { // 1, 2, 5, 10 times a power of ten
		if most/step < 7 {
			break
		}
		step *= by
	}
	var all []plot.Tick
	for i := 0; float64(i)*step <= most; i++ {
		all = append(all, tick(float64(i)*step))
	}
	return all
}

// decades marks a logarithmic axis at powers of ten.
type decades struct{}

func (decades) Ticks(least, most float64) []plot.Tick {
	var all []plot.Tick
	for e := math.Ceil(math.Log10(least) - 1e-9); math.Pow(10, e) <= most; e++ {
		all = append(all, tick(math.Pow(10, e)))
	}
	return all
}

func tick(v float64) plot.Tick {
	label := strconv.FormatFloat(v, 'g', 4, 64)
	if v >= 1000 {
		label = grouped(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return plot.Tick{Value: v, Label: strings.TrimSuffix(label, ".0")}
}
