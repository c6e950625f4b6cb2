package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A histogram keeps to its values within a thousandth, merged and written down.
func TestHist(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var all []int64
	var parts [3]Hist
	for i := range 30000 {
		v := int64(rng.ExpFloat64() * 1e6)
		all = append(all, v)
		parts[i%3].Record(v)
	}
	slices.Sort(all)
	var sum Hist
	for i := range parts {
		sum.Merge(&parts[i])
	}
	text, err := json.Marshal(&sum)
	if err != nil {
		t.Fatal(err)
	}
	var back Hist
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Hist{&sum, &back} {
		if h.Count() != 30000 || h.Max() != all[len(all)-1] {
			t.Errorf("%d values to %d", h.Count(), h.Max())
		}
		for _, q := range []float64{.1, .5, .9, .99, .999, 1} {
			want := all[int(math.Ceil(q*30000))-1]
			if got := h.Quantile(q); float64(got) < float64(want)*.999-histLow || float64(got) > float64(want)*1.001+histLow {
				t.Errorf("quantile %v is %d, not %d", q, got, want)
			}
		}
	}
	taken := sum.Take()
	if sum.Count() != 0 || sum.Max() != 0 || taken.Count() != 30000 {
		t.Errorf("taken %d, left %d", taken.Count(), sum.Count())
	}
	sum.Record(7000)
	if sum.Count() != 1 || sum.Max() != 7000 || sum.Quantile(.5) != 7000 {
		t.Errorf("after take: %d values, max %d", sum.Count(), sum.Max())
	}
	var none, copied Hist
	if text, _ = json.Marshal(&none); string(text) != "null" || json.Unmarshal(text, &copied) != nil || copied.Count() != 0 {
		t.Errorf("empty: %s", text)
	}
	none.Record(-5)
	none.Record(histHigh * 2)
	if none.Count() != 2 || none.Max() != histHigh {
		t.Errorf("out of bounds: %d values to %d", none.Count(), none.Max())
	}
}
