package report

import (
	"encoding/json"
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of a histogram: half a microsecond to an hour, three digits. Larger
// values are recorded as the largest.
const (
	histLow    = 512
	histHigh   = int64(3600e9)
	histDigits = 3
)

// Hist is a histogram of nanoseconds that can be merged and written down. The
// zero value is empty and costs nothing until the first value.
type Hist struct {
	h   *hdrhistogram.Histogram
	min int64
	max int64
	sum float64
}

// Record counts v nanoseconds. It allocates at the first call only.
func (h *Hist) Record(v int64) {
	if h.h == nil {
		h.h = hdrhistogram.New(histLow, histHigh, histDigits)
		h.min = math.MaxInt64
	}
	v = min(max(v, 0), histHigh)
	h.min = min(h.min, v)
	h.max = max(h.max, v)
	h.sum += float64(v)
	h.h.RecordValue(v) // cannot fail: v is within the bounds
}

// Count is how many values were recorded; 0 for a histogram that is nil.
func (h *Hist) Count() int64 {
	if h == nil || h.h == nil {
		return 0
	}
	return h.h.TotalCount()
}

// Quantile returns the value below or at which the share q (0 to 1) of all lie,
// in nanoseconds; 0 if there are none, or h is nil. It is never above Max.
func (h *Hist) Quantile(q float64) int64 {
	if h.Count() == 0 {
		return 0
	}
	return min(h.h.ValueAtPercentile(q*100), h.max)
}

// Min is exact; 0 if there are no values.
func (h *Hist) Min() int64 {
	if h.Count() == 0 {
		return 0
	}
	return h.min
}

// Max is exact; 0 if there are no values.
func (h *Hist) Max() int64 { return h.max }

// Mean is exact.
func (h *Hist) Mean() float64 {
	if h.Count() == 0 {
		return 0
	}
	return h.sum / float64(h.Count())
}

// Merge adds what o has.
func (h *Hist) Merge(o *Hist) {
	if o == nil || o.Count() == 0 {
		return
	}
	if h.h == nil {
		h.h = hdrhistogram.New(histLow, histHigh, histDigits)
		h.min = math.MaxInt64
	}
	h.h.Merge(o.h)
	h.min, h.max, h.sum = min(h.min, o.min), max(h.max, o.max), h.sum+o.sum
}

// Take returns what h has and empties h, whose memory stays.
func (h *Hist) Take() Hist {
	if h.Count() == 0 {
		return Hist{}
	}
	out := Hist{h: h.h.Clone(), min: h.min, max: h.max, sum: h.sum}
	h.Reset()
	return out
}

// Reset empties h, whose memory stays.
func (h *Hist) Reset() {
	if h.h != nil {
		h.h.Reset()
	}
	h.min, h.max, h.sum = math.MaxInt64, 0, 0
}

// histJSON is how a histogram is written: readable figures in microseconds, and
// all of it in HdrHistogram's own format (V2, compressed, base64; nanoseconds).
type histJSON struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	P9999 float64 `json:"p9999"`
	Max   float64 `json:"max"`
	HDR   string  `json:"hdr,omitempty"`
}

// MarshalJSON writes figures in microseconds and the raw histogram.
func (h *Hist) MarshalJSON() ([]byte, error) {
	if h.Count() == 0 {
		return []byte("null"), nil
	}
	raw, err := h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	q := func(q float64) float64 { return float64(h.Quantile(q)) / 1e3 }
	return json.Marshal(histJSON{
		Count: h.Count(), Min: float64(h.min) / 1e3, Mean: h.Mean() / 1e3,
		P50: q(.5), P90: q(.9), P95: q(.95), P99: q(.99), P999: q(.999), P9999: q(.9999),
		Max: float64(h.max) / 1e3, HDR: string(raw),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Hist) UnmarshalJSON(b []byte) error {
	var in histJSON
	if err := json.Unmarshal(b, &in); err != nil || in.HDR == "" {
		return err
	}
	raw, err := hdrhistogram.Decode([]byte(in.HDR))
	if err != nil {
		return err
	}
	h.h = raw
	h.min, h.max = int64(math.Round(in.Min*1e3)), int64(math.Round(in.Max*1e3))
	h.sum = in.Mean * 1e3 * float64(in.Count)
	return nil
}
