package report

import (
	"fmt"
	"time"
)

// Beyond these the generator was (part of) the bottleneck.
const (
	busyShare  = .95 // of a processor, by one worker
	tooLateLag = time.Millisecond
)

// Judge fills in Limits, once the phases are there.
func (r *Report) Judge() {
	for i := range r.Phases {
		r.Limits = append(r.Limits, r.Phases[i].limits()...)
	}
}

// limits are the phase's; in an open loop lateness counts, in a closed one who
// had more to do.
func (p *Phase) limits() (out []string) {
	say := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("phase %q: ", p.Name)+fmt.Sprintf(format, args...))
	}
	p.agentLimits(say)
	busy, alone := p.Generator.CPUShare, len(p.Agents) == 0
	if p.Kind == Open {
		if busy > busyShare && alone {
			say("a worker of the generator used %.0f %% of a processor; use more workers or a lower rate", busy*100)
		}
		if lag := time.Duration(p.Lag.Quantile(.99)); lag > tooLateLag && alone {
			say("requests left up to %s late (p99): latencies near that are the generator's, not the server's", round(lag))
		}
		if p.Unsent > 0 {
			say("%d requests that were due were not sent", p.Unsent)
		}
	}
	if server := p.Server.CPUShare; p.Kind == Closed && busy > busyShare {
		switch {
		case server == nil:
			say("a worker of the generator used %.0f %% of a processor: the server could maybe do more, it was not measured", busy*100)
		case *server < busy-.05:
			say("a worker of the generator used %.0f %% of a processor, the server %.0f %%: the server could do more", busy*100, *server*100)
		}
	}
	return out
}
