package bench

import (
	"net/netip"

	"wsd/bench/report"
)

// What coordinator and workers tell each other. A worker process gets its Part
// and then commands on standard input, and writes events on standard output,
// each one JSON value; a worker in the same process gets the same values.

// Part is one worker's share of a run.
type Part struct {
	Plan    Plan `json:"plan"` // with the worker's share of every number
	Index   int  `json:"index"`
	Workers int  `json:"workers"`
	// With agents Index and Workers are among those of one of them.
	Agent  int `json:"agent,omitempty"`
	Agents int `json:"agents,omitempty"`

	Run uint32 `json:"run"` // tells this run's published messages from another's

	Targets []target     `json:"targets"`
	Sources []netip.Addr `json:"sources"`
	// Further fields of the handshake, secrets filled in, and the subprotocols
	// that they offer.
	Header    []string `json:"header"`
	Protocols []string `json:"protocols"`
}

// command is told to a worker. One field is set.
type command struct {
	Start *startCommand `json:"start,omitempty"`
	End   *endCommand   `json:"end,omitempty"`
	Quit  bool          `json:"quit,omitempty"`
}

// startCommand begins a phase.
type startCommand struct {
	Phase       int    `json:"phase"`
	At          int64  `json:"at"`           // CLOCK_MONOTONIC ns, the same for all workers
	PublishBase uint32 `json:"publish_base"` // number of its first published message
	// Ahead is by how much CLOCK_MONOTONIC of the worker's host is ahead of that of
	// the coordinator's, by which all times are: 0 on the same host.
	Ahead int64 `json:"ahead,omitempty"`
}

// endCommand says that nothing more will be published in the running phase
// and, with Now, that it is over before its time.
type endCommand struct {
	Published   int  `json:"published"`
	Now         bool `json:"now"`
	Interrupted bool `json:"interrupted"` // the run is: report soon
}

// event is told by a worker. One field is set.
type event struct {
	Ready  *readyEvent   `json:"ready,omitempty"`
	Tick   *Tick         `json:"tick,omitempty"`
	Began  bool          `json:"began,omitempty"` // the phase, in which messages are published
	Fan    *fanEvent     `json:"fan,omitempty"`
	Result *WorkerResult `json:"result,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// readyEvent: the worker has its records and waits for the first phase.
type readyEvent struct {
	RSS int64 `json:"rss"` // resident memory before the first connection
}

// fanEvent: all clients of the worker have a published message; or, with a
// Count of 0, further ones have one, so that it is worth waiting.
type fanEvent struct {
	Number uint32 `json:"number"`
	Count  int    `json:"count"`
}

// Tick is how a phase is going. Counts are since its begin, Latency and Fanout
// since the last tick.
type Tick struct {
	At      Duration      `json:"at"` // since the phase's begin
	Up      int           `json:"up"`
	Counts  report.Counts `json:"counts"`
	Latency report.Hist   `json:"latency"`
	Fanout  report.Hist   `json:"fanout"`
	LagP99  Duration      `json:"lag_p99"`
}

// WorkerResult is one worker's view of a finished phase.
type WorkerResult struct {
	Seconds     float64        `json:"seconds"`
	Up          int            `json:"up"`
	Stalled     bool           `json:"stalled,omitempty"` // it had no bound, and got on no more
	Counts      report.Counts  `json:"counts"`
	Connect     report.Hist    `json:"connect"`
	Upgrade     report.Hist    `json:"upgrade"`
	Handshake   report.Hist    `json:"handshake"`
	First       report.Hist    `json:"first"`
	Latency     report.Hist    `json:"latency"`
	Uncorrected report.Hist    `json:"uncorrected"`
	Lag         report.Hist    `json:"lag"`
	Fanout      report.Hist    `json:"fanout"`
	Back        report.Hist    `json:"back"`
	Publishes   []fanSeen      `json:"publishes,omitempty"`
	Groups      []report.Group `json:"groups,omitempty"`
	CPU         float64        `json:"cpu"`  // seconds
	Wall        float64        `json:"wall"` // seconds that CPU was measured over
	RSS         int64          `json:"rss"`
}
