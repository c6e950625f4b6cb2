package report

import (
	"fmt"
	"io"
	"time"
)

// Agent is another host that took part in a run.
type Agent struct {
	Name    string `json:"name"`
	Workers int    `json:"workers"`
	Clients int    `json:"clients"` // its share of the well-behaved ones
	Host    Host   `json:"host"`
	Lost    *Lost  `json:"lost,omitempty"`
}

// Lost says when an agent was lost, and why.
type Lost struct {
	Phase string  `json:"phase"`
	At    float64 `json:"t"` // seconds since the run's begin
	Why   string  `json:"why"`
}

// AgentPhase is what one agent did in a phase.
type AgentPhase struct {
	Name     string  `json:"name"`
	Missing  bool    `json:"missing,omitempty"` // it is lost, and this is what it had told
	Up       int     `json:"up"`
	Events   uint64  `json:"events"`
	Faults   uint64  `json:"faults"`
	Unsent   uint64  `json:"unsent"`
	CPUShare float64 `json:"cpu_share"` // its busiest worker's, of one processor
	P99      float64 `json:"p99_us"`    // of Phase.Latency
	Lag      float64 `json:"lag_p99_us"`
}

// FindWeakest names the agent that is nearest to its own limits: in an open loop the
// one that sent latest, else the one with the busiest worker. One that is missing is
// none.
func (p *Phase) FindWeakest() {
	of := func(a *AgentPhase) float64 { return a.CPUShare }
	if p.Kind == Open {
		of = func(a *AgentPhase) float64 { return a.Lag }
	}
	most := -1.
	for i := range p.Agents {
		if a := &p.Agents[i]; !a.Missing && of(a) > most {
			most, p.Weakest = of(a), a.Name
		}
	}
}

// onAgents says where the generator's processes were, "" if here.
func (r *Report) onAgents() string {
	if n := len(r.Agents); n > 0 {
		return fmt.Sprintf(" on %d %s", n, plural(n, "host", "hosts"))
	}
	return ""
}

// microsOf writes a figure in microseconds.
func microsOf(us float64) string {
	if us == 0 {
		return ""
	}
	return micros(int64(us * 1e3))
}

var agentHead = []string{"phase", "agent", "up", "events", "faults", "cpu", "own lag p99", "p99", ""}

// agentRows has a line for each agent in each phase; none without agents.
func (r *Report) agentRows() (rows [][]string) {
	for i := range r.Phases {
		p := &r.Phases[i]
		for k := range p.Agents {
			a := &p.Agents[k]
			name, remark := "", ""
			if k == 0 {
				name = p.Name
			}
			switch {
			case a.Missing:
				remark = "LOST"
			case a.Name == p.Weakest:
				remark = "weakest"
			}
			rows = append(rows, []string{name, a.Name, CountText(uint64(a.Up)), someText(a.Events), someText(a.Faults),
				percent(a.CPUShare), microsOf(a.Lag), microsOf(a.P99), remark})
		}
	}
	return rows
}

func (r *Report) writeAgents(w io.Writer) {
	rows := r.agentRows()
	if len(rows) == 0 {
		return
	}
	t := columns(w)
	row(t, agentHead...)
	for _, cells := range rows {
		row(t, cells...)
	}
	t.Flush()
	fmt.Fprintln(w)
	for i := range r.Phases {
		if text := r.Phases[i].clockText(); text != "" {
			fmt.Fprintln(w, text)
		}
	}
}

// clockText says how far times between hosts can be trusted, "" if there are none.
func (p *Phase) clockText() string {
	if p.ClockError == 0 || p.Fanout == nil {
		return ""
	}
	return fmt.Sprintf("  %s: times of deliveries are between hosts, whose clocks are known to ± %s", p.Name, micros(int64(p.ClockError*1e3)))
}

// agentLimits are the limits that each agent reached in an open loop.
func (p *Phase) agentLimits(say func(format string, args ...any)) {
	for i := range p.Agents {
		a := &p.Agents[i]
		lag := time.Duration(a.Lag * 1e3)
		switch {
		case p.Kind != Open:
		case a.CPUShare > busyShare:
			say("a worker of agent %s used %.0f %% of a processor; use more workers or a lower rate", a.Name, a.CPUShare*100)
		case lag > tooLateLag:
			say("requests left agent %s up to %s late (p99): latencies near that are its own, not the server's", a.Name, round(lag))
		}
	}
}
