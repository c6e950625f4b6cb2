package bench

import (
	"fmt"
	"time"
)

// Duration is written as "1.5s" in scenarios, reports and to workers.
type Duration time.Duration

// UnmarshalText takes what time.ParseDuration takes, but nothing negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: write a number with its unit, as in 500ms, 30s or 2m", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText gives what UnmarshalText takes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }
func (d Duration) ns() int64      { return int64(d) }
