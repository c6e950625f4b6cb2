package main

import (
	"context"
	"time"
)

// Loader puts one load on one running server and returns what it saw. It
// returns no Report with figures missing: that is an error that names them.
type Loader interface {
	Load(ctx context.Context, l Load) (Report, error)
}

// Load is what one run of a loader is to do: connect, then step by step.
type Load struct {
	Label   string // names the run's own output files
	URL     string // ws://host:port/path
	Publish string // where to POST a publish
	PID     int    // the server's, for its CPU and memory
	Clients int
	Steps   []Step
}

// Step kinds. Every step runs on the connections of the first, the ramp.
const (
	Ramp    = "ramp"    // connect all clients as fast as Concurrency handshakes allow
	Hold    = "hold"    // leave them idle
	Closed  = "closed"  // Active clients, one message outstanding each
	Open    = "open"    // Rate messages a second spread over all, latency from when each was due
	Publish = "publish" // Count messages to all, the next after the last client has the one before
)

// Step is one step of a load. Only the fields its kind names above are set.
type Step struct {
	Name        string        `json:"name"`
	Kind        string        `json:"kind"`
	Concurrency int           `json:"concurrency,omitempty"`
	Duration    time.Duration `json:"-"`
	Active      int           `json:"active,omitempty"`
	Rate        int           `json:"rate,omitempty"`
	Count       int           `json:"count,omitempty"`
	Payload     string        `json:"payload,omitempty"` // text sent, each message
	Expect      string        `json:"expect,omitempty"`  // what every answer must contain
	Bytes       int           `json:"bytes,omitempty"`   // binary payload of this size instead
}

// Report is what a loader saw, by the step's name.
type Report struct {
	Phases map[string]Phase
	// Limits say why the loader itself held the server back, if it did.
	Limits []string
	// CPU is what the loader's own processes used, all steps together.
	CPU time.Duration
}

// Phase is what happened in one step. Latencies are in microseconds. What a
// step has none of is zero.
type Phase struct {
	Seconds   float64
	Count     float64 // handshakes, answered messages, or deliveries
	P50, P99  float64
	P999      float64
	LagP99    float64 // how late the loader itself was at sending
	Last      float64 // median time from a publish to its last client, µs
	ServerCPU float64 // seconds
	ServerRSS float64 // bytes, when the step ended
	Bad       map[string]float64
}
