package report

import (
	"fmt"
	"strconv"
	"time"
)

// round leaves a duration three digits.
func round(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}

// micros writes nanoseconds as a length of time with three digits.
func micros(ns int64) string {
	if ns < 1000 && ns > 0 {
		return "<1µs"
	}
	return round(time.Duration(ns)).String()
}

// ByteText writes a number of bytes with a unit.
func ByteText(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1000 && n > -1000 {
			return strconv.FormatFloat(n, 'f', digitsAfter(n), 64) + " " + unit
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f TiB", n)
}

func digitsAfter(n float64) int {
	switch {
	case n >= 100 || n == float64(int64(n)):
		return 0
	case n >= 10:
		return 1
	}
	return 2
}

// CountText writes a number with thin groups: 1,234,567.
func CountText(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
