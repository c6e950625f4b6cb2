package bench

import (
	"time"
)

// Schema names the form of a report's JSON. What is there keeps its meaning
// while the number stays; fields may be added.
//
// 2: figures that were not measured are left out; 1 has them as 0.
const (
	Schema    = "wsd-bench/2"
	oldSchema = "wsd-bench/1"
)

// Report is what a run found out.
type Report struct {
	Schema  string    `json:"schema"`
	Command []string  `json:"command,omitempty"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Host    HostFacts `json:"host"`
	Plan    Plan      `json:"plan"`
	Workers int       `json:"workers"`
	Servers []Process `json:"servers,omitempty"` // whose figures are called the server's
	// Limits say where the generator itself was the bottleneck. If there are
	// any, the figures are not (only) the server's.
	Limits      []string      `json:"limits"`
	Warnings    []string      `json:"warnings,omitempty"`
	Interrupted bool          `json:"interrupted,omitempty"`
	Phases      []PhaseReport `json:"phases"`
}

// PhaseReport is what happened in one phase. Times are in microseconds.
type PhaseReport struct {
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

	Server    ServerReport    `json:"server,omitzero"`
	Machine   MachineReport   `json:"machine,omitzero"`
	Generator GeneratorReport `json:"generator"`
	Groups    []GroupResult   `json:"groups,omitempty"`
	Series    []Point         `json:"series,omitempty"`
}

// ServerReport is the server's side of a phase, from its processes or metrics.
// What was not measured is nil.
type ServerReport struct {
	CPUSeconds   *float64 `json:"cpu_seconds,omitempty"`
	CPUShare     *float64 `json:"cpu_share,omitempty"` // of one processor
	CPUPerEvent  *float64 `json:"cpu_us_per_event,omitempty"`
	RSSBytes     *float64 `json:"rss_bytes,omitempty"` // at the end
	RSSPerClient *float64 `json:"rss_per_client,omitempty"`
	Switches     *float64 `json:"context_switches,omitempty"`
	WaitSeconds  *float64 `json:"wait_seconds,omitempty"` // ready to run, and waiting for a processor
	WaitShare    *float64 `json:"wait_share,omitempty"`
}

// MachineReport is the kernel's side: growth since before the first
// connection. With the server on this machine it covers both ends. What was not
// measured is nil.
type MachineReport struct {
	SlabBytes       *float64 `json:"slab_bytes,omitempty"`
	SocketBytes     *float64 `json:"socket_bytes,omitempty"`
	KernelPerClient *float64 `json:"kernel_per_client,omitempty"`
	BusySeconds     *float64 `json:"busy_seconds,omitempty"`
	SoftirqSeconds  *float64 `json:"softirq_seconds,omitempty"`
}

// GeneratorReport is the generator's own part.
type GeneratorReport struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUShare     float64 `json:"cpu_share"` // the busiest worker's, of one processor
	CPUPerEvent  float64 `json:"cpu_us_per_event,omitempty"`
	RSSBytes     int64   `json:"rss_bytes"`
	RSSPerClient float64 `json:"rss_per_client,omitempty"`
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

func optional(h *Hist) *Hist {
	if h.Count() == 0 {
		return nil
	}
	return h
}

// merge adds the workers' results up.
func (p *PhaseReport) merge(results []*WorkerResult) {
	var sum WorkerResult
	for _, r := range results {
		p.Seconds = max(p.Seconds, r.Seconds)
		p.Up += r.Up
		p.Counts.Add(&r.Counts)
		for to, from := range map[*Hist]*Hist{
			&sum.Connect: &r.Connect, &sum.Upgrade: &r.Upgrade, &sum.Handshake: &r.Handshake,
			&sum.First: &r.First, &sum.Latency: &r.Latency, &sum.Uncorrected: &r.Uncorrected,
			&sum.Lag: &r.Lag, &sum.Fanout: &r.Fanout, &sum.Back: &r.Back,
		} {
			to.Merge(from)
		}
		p.Generator.CPUSeconds += r.CPU
		p.Generator.CPUShare = max(p.Generator.CPUShare, ratio(r.CPU, r.Wall))
		p.Generator.RSSBytes += r.RSS
		p.addGroups(r.Groups)
	}
	p.Connect, p.Upgrade, p.First = optional(&sum.Connect), optional(&sum.Upgrade), optional(&sum.First)
	p.Uncorrected, p.Lag, p.Fanout = optional(&sum.Uncorrected), optional(&sum.Lag), optional(&sum.Fanout)
	main := map[string]*Hist{Ramp: &sum.Handshake, Publish: &sum.Fanout, Storm: &sum.Back}[p.Kind]
	if main == nil {
		main = &sum.Latency
	}
	p.Latency = optional(main)
}

func (p *PhaseReport) addGroups(groups []GroupResult) {
	for i := range groups {
		if i == len(p.Groups) {
			p.Groups = append(p.Groups, GroupResult{})
		}
		p.Groups[i].Manners = groups[i].Manners
		p.Groups[i].add(&groups[i])
	}
}

// account sets the phase against what the server, the machine and the
// generator used: base was before the first connection, a and b are the ends.
func (p *PhaseReport) account(base, a, b Sample, emptyRSS int64) {
	wall := float64(b.At-a.At) / 1e9
	events, up := float64(p.Events()), float64(p.Up)
	both := a.has & b.has
	if b.Gone > a.Gone { // what a process took along is in a, not in b
		both &^= hasCPU | hasSwitches | hasWaits
	}
	cpu, waits := b.CPUSeconds-a.CPUSeconds, max(0, b.WaitSeconds-a.WaitSeconds)
	p.Server = ServerReport{
		CPUSeconds: both.of(hasCPU, cpu), CPUShare: both.per(hasCPU, cpu, wall), CPUPerEvent: both.per(hasCPU, cpu*1e6, events),
		RSSBytes: b.has.of(hasRSS, b.RSSBytes), RSSPerClient: (base.has & b.has).per(hasRSS, b.RSSBytes-base.RSSBytes, up),
		Switches:    both.of(hasSwitches, b.Switches-a.Switches),
		WaitSeconds: both.of(hasWaits, waits), WaitShare: both.per(hasWaits, waits, wall),
	}
	kernel, slab, sockets := base.has&b.has, b.SlabBytes-base.SlabBytes, b.SocketBytes-base.SocketBytes
	p.Machine = MachineReport{
		SlabBytes: kernel.of(hasKernel, slab), SocketBytes: kernel.of(hasKernel, sockets), KernelPerClient: kernel.per(hasKernel, slab+sockets, up),
		BusySeconds: both.of(hasProcessors, b.BusySeconds-a.BusySeconds), SoftirqSeconds: both.of(hasProcessors, b.SoftSeconds-a.SoftSeconds),
	}
	p.Generator.CPUPerEvent = ratio(p.Generator.CPUSeconds*1e6, events)
	p.Generator.RSSPerClient = ratio(float64(p.Generator.RSSBytes-emptyRSS), up)
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

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
