package report

import (
	"errors"
	"fmt"
	"time"
)

// Report is what a run found out.
type Report struct {
	Schema  string    `json:"schema"`
	Command []string  `json:"command,omitempty"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Host    Host      `json:"host"`
	Plan    Plan      `json:"plan"`
	Workers int       `json:"workers"`
	Agents  []Agent   `json:"agents,omitempty"`
	Servers []Process `json:"servers,omitempty"` // whose figures are called the server's
	// Limits say where the generator itself was the bottleneck. If there are
	// any, the figures are not (only) the server's.
	Limits      []string `json:"limits"`
	Warnings    []string `json:"warnings,omitempty"`
	Interrupted bool     `json:"interrupted,omitempty"`
	Phases      []Phase  `json:"phases"`
}

// Kinds of phases.
const (
	Ramp    = "ramp"    // clients connect
	Hold    = "hold"    // they are left alone
	Closed  = "closed"  // the next request when the answer has come
	Open    = "open"    // requests on a schedule
	Publish = "publish" // messages to all
	Storm   = "storm"   // clients vanish at once, and come back
)

// Phase is what happened in one phase. Times are in microseconds.
type Phase struct {
	Name        string  `json:"name"`
	Kind        string  `json:"kind"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted,omitempty"`
	Up          int     `json:"up"` // clients connected at its end
	// Unreached says what the phase did not come to, though it was for that.
	Unreached string `json:"unreached,omitempty"`
	Counts

	// Latency is what the phase is about: the whole handshake in a ramp, from
	// when a request was due to its answer in an open loop, from request to
	// answer in a closed one, from when a message was due to be published to
	// each client that got it, from the drop to being back in a storm.
	Latency *Hist `json:"latency_us,omitempty"`
	// Uncorrected counts from when a request really left: what a generator
	// that forgives itself its own delays would say.
	Uncorrected *Hist `json:"uncorrected_us,omitempty"`
	// Lag is how late the generator was at sending (or connecting).
	Lag *Hist `json:"lag_us,omitempty"`

	Connect *Hist `json:"connect_us,omitempty"`      // TCP
	Upgrade *Hist `json:"upgrade_us,omitempty"`      // request to 101
	First   *Hist `json:"first_answer_us,omitempty"` // to the plan's first message
	Fanout  *Hist `json:"fanout_us,omitempty"`       // per delivery
	ToFirst *Hist `json:"to_first_us,omitempty"`     // per publish: its first client
	ToLast  *Hist `json:"to_last_us,omitempty"`      // and its last
	Call    *Hist `json:"publish_call_us,omitempty"` // the publish call itself

	Server    Server    `json:"server,omitzero"`
	Machine   Machine   `json:"machine,omitzero"`
	Generator Generator `json:"generator"`
	Groups    []Group   `json:"groups,omitempty"`

	Agents  []AgentPhase `json:"agents,omitempty"`
	Weakest string       `json:"weakest_agent,omitempty"`
	// ClockError is by how much times between hosts may be wrong, either way: those
	// of Fanout, ToFirst and ToLast, and when a phase began.
	ClockError float64 `json:"clock_error_us,omitempty"`

	Series []Point `json:"series,omitempty"`
}

// Server is the server's side of a phase, from its processes or metrics.
// What was not measured is nil.
type Server struct {
	CPUSeconds   *float64 `json:"cpu_seconds,omitempty"`
	CPUShare     *float64 `json:"cpu_share,omitempty"` // of one processor
	CPUPerEvent  *float64 `json:"cpu_us_per_event,omitempty"`
	RSSBytes     *float64 `json:"rss_bytes,omitempty"` // at the end
	RSSPerClient *float64 `json:"rss_per_client,omitempty"`
	Switches     *float64 `json:"context_switches,omitempty"`
	WaitSeconds  *float64 `json:"wait_seconds,omitempty"` // ready to run, and waiting for a processor
	WaitShare    *float64 `json:"wait_share,omitempty"`
}

// Machine is the kernel's side: growth since before the first
// connection. With the server on this machine it covers both ends. What was not
// measured is nil.
type Machine struct {
	SlabBytes       *float64 `json:"slab_bytes,omitempty"`
	SocketBytes     *float64 `json:"socket_bytes,omitempty"`
	KernelPerClient *float64 `json:"kernel_per_client,omitempty"`
	BusySeconds     *float64 `json:"busy_seconds,omitempty"`
	SoftirqSeconds  *float64 `json:"softirq_seconds,omitempty"`
}

// Generator is the generator's own part.
type Generator struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUShare     float64 `json:"cpu_share"` // the busiest worker's, of one processor
	CPUPerEvent  float64 `json:"cpu_us_per_event,omitempty"`
	RSSBytes     int64   `json:"rss_bytes"`
	RSSPerClient float64 `json:"rss_per_client,omitempty"`
}

// Group is what became of a group of badly-behaved clients in a phase.
type Group struct {
	Behaviour string `json:"manners"`
	Count     int    `json:"count"`
	Opened    int    `json:"opened"`
	Refused   int    `json:"refused"` // in the handshake
	Closes    Kinds  `json:"closes,omitempty"`
	// ClosedAfter is how long they could misbehave.
	ClosedAfter Hist `json:"closed_after_us"`
}

// Merge adds what o has, of the same group at another worker.
func (g *Group) Merge(o *Group) {
	g.Count += o.Count
	g.Opened += o.Opened
	g.Refused += o.Refused
	g.Closes.Merge(o.Closes)
	g.ClosedAfter.Merge(&o.ClosedAfter)
}

// Point is one second of a phase.
type Point struct {
	At         float64 `json:"t"` // seconds since the run's begin
	Up         int     `json:"up"`
	Handshakes float64 `json:"handshakes"` // these are per second
	Messages   float64 `json:"messages"`
	Deliveries float64 `json:"deliveries"`
	Errors     float64 `json:"errors"`
	P50        float64 `json:"p50_us,omitempty"`
	P99        float64 `json:"p99_us,omitempty"`
	// What was not measured is nil.
	ServerCPU   *float64 `json:"server_cpu,omitempty"` // share of one processor
	ServerRSS   *float64 `json:"server_rss,omitempty"`
	KernelBytes *float64 `json:"kernel_bytes,omitempty"` // slab and socket buffers, growth
}

// Host is what a reader has to know of the machine to weigh the figures.
type Host struct {
	Kernel      string            `json:"kernel"`
	Processor   string            `json:"processor"`
	Processors  int               `json:"processors"`
	GOMAXPROCS  int               `json:"gomaxprocs"`
	MemoryBytes float64           `json:"memory_bytes"`
	Descriptors int               `json:"descriptors"` // a process may have
	LoadAverage string            `json:"load_average"`
	Go          string            `json:"go"`
	Version     string            `json:"version"` // of this program
	Sysctls     map[string]string `json:"sysctls"`
}

// Process is one whose memory and processor time are called the server's.
type Process struct {
	PID   int    `json:"pid"`
	Name  string `json:"name"`
	Found bool   `json:"found,omitempty"` // by its listening socket, not by the plan
}

// Unreached is an error that says what phases did not come to; nil if all came
// to what they were for.
func (r *Report) Unreached() error {
	var errs []error
	for i := range r.Phases {
		if p := &r.Phases[i]; p.Unreached != "" {
			errs = append(errs, fmt.Errorf("phase %q: %s", p.Name, p.Unreached))
		}
	}
	return errors.Join(errs...)
}

// number is a figure, 0 if it was not measured.
func number(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// textOf is a figure as text writes it, "" if it was not measured.
func textOf(v *float64, text func(float64) string) string {
	if v == nil {
		return ""
	}
	return text(*v)
}

// rate is how many of what its main line counts a phase had per second; 0 if it
// had no time.
func (p *Phase) rate() float64 {
	if p.Seconds == 0 {
		return 0
	}
	_, n := p.what()
	return float64(n) / p.Seconds
}
