package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
)

// The kinds of values that limits have. All are refused when negative; String
// gives what UnmarshalText takes, so that a printed configuration can be read
// again.

// count is a whole number of something, or of something per second.
type count int

func (c *count) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no count: write a whole number from 0 on, as in 20000", text)
	}
	*c = count(n)
	return nil
}

func (c count) String() string { return strconv.Itoa(int(c)) }

// size is a number of bytes.
type size int64

func (s *size) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		n, err = units.ParseStrictBytes(string(text))
	}
	// The upper bound keeps every size an int on the platforms that there are,
	// with room to add some.
	if err != nil || n < 0 || n > math.MaxInt64/4 {
		return fmt.Errorf("%q is no size: write bytes, or a unit as in 512B, 64KiB or 1GiB", text)
	}
	*s = size(n)
	return nil
}

// String uses the largest unit that is exact.
func (s size) String() string {
	n, unit := int64(s), 0
	for n != 0 && n%1024 == 0 && unit < len(sizeUnits)-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + sizeUnits[unit]
}

var sizeUnits = [...]string{"", "KiB", "MiB", "GiB", "TiB", "PiB"}

// span is a length of time.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration: write a number with its unit, as in 500ms, 30s or 2m", text)
	}
	*s = span(d)
	return nil
}

// String leaves out the zeros that time.Duration puts behind whole minutes and
// hours: 1m, not 1m0s.
func (s span) String() string {
	text := time.Duration(s).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
