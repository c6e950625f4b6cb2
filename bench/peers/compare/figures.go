package main

import (
	"slices"
	"strings"
)

// Figure is one number by which servers are compared.
type Figure struct {
	Key    string `json:"key"`
	Title  string `json:"title"`
	Unit   string `json:"unit"`
	Higher bool   `json:"higher_is_better,omitempty"`
	from   func(s sample) float64
}

// sample is one round of one server: the run with many clients and, each on a
// fresh process, those on /echo and with an application's action.
type sample struct {
	clients float64
	empty   float64 // resident bytes before the first client
	many    map[string]Phase
	echo    map[string]Phase
	action  map[string]Phase // nil if it has none
}

const million = 1e6

func perCount(cpuOf func(s sample) Phase) func(sample) float64 {
	return func(s sample) float64 {
		p := cpuOf(s)
		if p.Count == 0 {
			return 0
		}
		return p.ServerCPU / p.Count * million
	}
}

func rate(p Phase) float64 {
	if p.Seconds == 0 {
		return 0
	}
	return p.Count / p.Seconds
}

func (s sample) perClient(rss float64) float64 { return (rss - s.empty) / s.clients }

// figures in the order in which they are shown.
var figures = []Figure{
	{Key: "closed_cpu_us", Title: "Heartbeat, closed loop: server CPU", Unit: "µs/message",
		from: perCount(func(s sample) Phase { return s.many["closed"] })},
	{Key: "open_cpu_us", Title: "Heartbeats at a fixed rate: server CPU", Unit: "µs/message",
		from: perCount(func(s sample) Phase { return s.many["open"] })},
	{Key: "open_p99_ms", Title: "Heartbeats at a fixed rate: p99", Unit: "ms",
		from: func(s sample) float64 { return s.many["open"].P99 / 1e3 }},
	{Key: "echo_cpu_us", Title: "Echo of 1 KiB: server CPU", Unit: "µs/message",
		from: perCount(func(s sample) Phase { return s.echo["echo"] })},
	{Key: "action_cpu_us", Title: "JSON action at a fixed rate: server CPU", Unit: "µs/message",
		from: perCount(func(s sample) Phase { return s.action["busy"] })},
	{Key: "action_p99_ms", Title: "JSON action at a fixed rate: p99", Unit: "ms",
		from: func(s sample) float64 { return s.action["busy"].P99 / 1e3 }},
	{Key: "action_calm_cpu_us", Title: "JSON action at a tenth of that rate: server CPU", Unit: "µs/message",
		from: perCount(func(s sample) Phase { return s.action["calm"] })},
	{Key: "rss_idle_bytes", Title: "Resident memory, idle client", Unit: "bytes/client",
		from: func(s sample) float64 { return s.perClient(s.many["idle"].ServerRSS) }},
	{Key: "rss_after_bytes", Title: "Resident memory after all phases", Unit: "bytes/client",
		from: func(s sample) float64 { return s.perClient(s.many["publish"].ServerRSS) }},
	{Key: "publish_cpu_us", Title: "Publish to all: server CPU", Unit: "µs/delivery",
		from: perCount(func(s sample) Phase { return s.many["publish"] })},
	{Key: "publish_last_ms", Title: "Publish to all: time to the last client", Unit: "ms",
		from: func(s sample) float64 { return s.many["publish"].Last / 1e3 }},
	{Key: "handshakes_per_s", Title: "Handshakes", Unit: "1/s", Higher: true,
		from: func(s sample) float64 { return rate(s.many["ramp"]) }},
	{Key: "handshake_cpu_us", Title: "Handshake: server CPU", Unit: "µs/handshake",
		from: perCount(func(s sample) Phase { return s.many["ramp"] })},
	{Key: "idle_cpu_percent", Title: "Idle: server CPU", Unit: "% of a processor",
		from: func(s sample) float64 {
			p := s.many["idle"]
			if p.Seconds == 0 {
				return 0
			}
			return 100 * p.ServerCPU / p.Seconds
		}},
	{Key: "closed_per_s", Title: "Heartbeats, closed loop", Unit: "messages/s", Higher: true,
		from: func(s sample) float64 { return rate(s.many["closed"]) }},
	{Key: "closed_p99_ms", Title: "Heartbeat, closed loop: p99", Unit: "ms",
		from: func(s sample) float64 { return s.many["closed"].P99 / 1e3 }},
	{Key: "open_p50_ms", Title: "Heartbeats at a fixed rate: p50", Unit: "ms",
		from: func(s sample) float64 { return s.many["open"].P50 / 1e3 }},
	{Key: "open_p999_ms", Title: "Heartbeats at a fixed rate: p99.9", Unit: "ms",
		from: func(s sample) float64 { return s.many["open"].P999 / 1e3 }},
	{Key: "open_lag_p99_ms", Title: "Heartbeats at a fixed rate: the generator's own lag, p99", Unit: "ms",
		from: func(s sample) float64 { return s.many["open"].LagP99 / 1e3 }},
	{Key: "action_calm_p99_ms", Title: "JSON action at a tenth of that rate: p99", Unit: "ms",
		from: func(s sample) float64 { return s.action["calm"].P99 / 1e3 }},
	{Key: "echo_per_s", Title: "Echoes of 1 KiB, closed loop", Unit: "messages/s", Higher: true,
		from: func(s sample) float64 { return rate(s.echo["echo"]) }},
	{Key: "echo_p99_ms", Title: "Echo of 1 KiB: p99", Unit: "ms",
		from: func(s sample) float64 { return s.echo["echo"].P99 / 1e3 }},
}

// headline figures make the first table and the plots.
var headline = figures[:12]

// has says whether figure f was measured.
func (s sample) has(f Figure) bool { return s.action != nil || !strings.HasPrefix(f.Key, "action_") }

// Spread is a figure over the rounds.
type Spread struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Rounds []float64 `json:"rounds"` // in the order they ran
}

func spreadOf(rounds []float64) Spread {
	s := slices.Sorted(slices.Values(rounds))
	n := len(s)
	if n == 0 {
		return Spread{}
	}
	return Spread{Median: (s[(n-1)/2] + s[n/2]) / 2, Min: s[0], Max: s[n-1], Rounds: rounds}
}
