package server

import (
	"math/bits"
	"time"
)

// buckets of a histogram: bounds double from one bucket to the next.
const histBuckets = 24

// hist is a histogram over powers of two, owned by whoever adds to it. For
// durations the unit is a microsecond (up to 4 s), for counts it is one.
type hist struct {
	counts [histBuckets + 1]uint64
	sum    float64
}

func (h *hist) add(v uint64, sum float64) {
	h.counts[min(bits.Len64(v), histBuckets)]++
	h.sum += sum
}

func (h *hist) duration(d time.Duration) { h.add(uint64(d.Microseconds()), d.Seconds()) }
func (h *hist) number(n int)             { h.add(uint64(n), float64(n)) }

func (h *hist) merge(o *hist) {
	addAll(h.counts[:], o.counts[:])
	h.sum += o.sum
}

// Histogram is a distribution. Counts has one element more than Bounds; element
// i counts values below or at Bounds[i] and above the bound before it.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Sum    float64   `json:"sum"`
	Count  uint64    `json:"count"`
}

// export turns h into a Histogram whose bounds are in units of unit.
func (h *hist) export(unit float64) Histogram {
	out := Histogram{Counts: append([]uint64(nil), h.counts[:]...), Sum: h.sum}
	for i := range histBuckets {
		out.Bounds = append(out.Bounds, float64(uint64(1)<<i-1)*unit) // bucket i holds the numbers of i bits
	}
	for _, n := range h.counts {
		out.Count += n
	}
	return out
}

// sampled says that this is one of the few turns or calls whose time is taken:
// one in 16. Two looks at the clock each would be a hundredth of a heartbeat.
func sampled(n uint64) bool { return n%16 == 0 }
