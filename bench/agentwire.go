package bench

import (
	"net/netip"

	"wsd/bench/report"
)

// What a coordinator and an agent, which has worker processes on another host,
// tell each other over one stream of bytes, each one JSON value. To the agent:
// check, start, commands to its workers, quit; probes of its clock all the while.
// From it: what it found, the events of its workers, its clock.

// toAgent is told to an agent. One field is set, and Worker with Command.
type toAgent struct {
	Check   *checkRequest `json:"check,omitempty"`
	Start   []Part        `json:"start,omitempty"` // one worker for each
	Worker  int           `json:"worker,omitempty"`
	Command *command      `json:"command,omitempty"`
	Probe   *probe        `json:"probe,omitempty"`
	Quit    bool          `json:"quit,omitempty"`
}

// fromAgent is told by an agent. One field is set, and Worker with Event.
type fromAgent struct {
	Checked *checked `json:"checked,omitempty"`
	Worker  int      `json:"worker,omitempty"`
	Event   *event   `json:"event,omitempty"`
	Probe   *probe   `json:"probe,omitempty"`
	Bye     string   `json:"bye,omitempty"` // it ends the run, for this reason
}

// checkRequest asks what an agent can do of its share of a plan.
type checkRequest struct {
	Plan    Plan         `json:"plan"` // the agent's share
	Targets []target     `json:"targets"`
	Sources []netip.Addr `json:"sources"` // of all agents; none: the agent chooses
}

// checked is the answer. With anything Fatal the run does not begin.
type checked struct {
	Host     report.Host  `json:"host"`
	Workers  int          `json:"workers"`
	Sources  []netip.Addr `json:"sources"`  // those that are the agent's
	Buffered int          `json:"buffered"` // Plan.MaxBuffered, if the plan has none
	Fatal    []string     `json:"fatal"`
	Warnings []string     `json:"warnings"`
}

// probe asks for an agent's clock, and is the answer. It also says that the other
// side is there.
type probe struct {
	Sent int64 `json:"sent"` // CLOCK_MONOTONIC ns of the coordinator
	At   int64 `json:"at"`   // of the agent, when it had the probe
}
