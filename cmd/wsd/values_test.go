package main

import (
	"math"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{
		"0": 0, "1": 1, "65536": 64 << 10, "512B": 512, "64KiB": 64 << 10, "1.5MiB": 3 << 19, "1GiB": 1 << 30, "1MB": 1000000,
	} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-64KiB", "x", "64 KiB", "64KiX", "1e6", "9223372036854775807", "99999999PiB"} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
	for _, n := range []size{0, 1, 1023, 1024, 1025, 64 << 10, 1<<30 + 1, 5 << 40, math.MaxInt64 / 4} {
		var got size
		if err := got.UnmarshalText([]byte(n.String())); err != nil || got != n {
			t.Errorf("%d prints as %s, which is %d, %v", n, n, got, err)
		}
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"}, {10 * time.Second, "10s"}, {time.Minute, "1m"}, {90 * time.Second, "1m30s"}, {10 * time.Minute, "10m"},
		{time.Hour, "1h"}, {time.Hour + time.Second, "1h0m1s"}, {20 * time.Hour, "20h"}, {time.Hour + 10*time.Minute, "1h10m"}, {1, "1ns"},
	} {
		var got span
		if err := got.UnmarshalText([]byte(span(c.d).String())); span(c.d).String() != c.want || err != nil || got != span(c.d) {
			t.Errorf("%v prints as %s, want %s; read again: %v, %v", c.d, span(c.d), c.want, got, err)
		}
	}
	for _, text := range []string{"", "-1s", "10", "1 s", "1d"} {
		var got span
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, text := range []string{"", "-1", "1.5", "1k", "99999999999999999999"} {
		var got count
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
