package bench

import (
	"fmt"
	"strings"
	"time"

	"wsd/bench/report"
)

// unreached says what the phase was for and did not come to; "" if it did, or
// was interrupted.
func (p *phaseRun) unreached(out *report.Phase) string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if text := p.lostText(); text != "" {
		say("%s", text)
	}
	if p.missing > 0 {
		say("%d of %d workers did not report: their figures end with what they had told", p.missing, len(p.workers))
	}
	if !out.Interrupted {
		switch p.spec.Kind {
		case Ramp:
			if want := p.wanted(); out.Up < want {
				say("%s of %s clients are up%s", report.CountText(uint64(out.Up)), report.CountText(uint64(want)), p.why())
			}
		case Storm:
			if out.Failed > 0 {
				say("%s clients did not come back%s", report.CountText(out.Failed), p.why())
			}
		case Publish:
			if out.Publishes < uint64(p.spec.Count) {
				say("%d of %d messages were published%s", out.Publishes, p.spec.Count, p.why())
			}
		case Open:
			if out.Overdue > 0 {
				say("%s of %s requests that were due were not sent: the generator was too far behind, and caught up for no more than the time that late answers are waited for (%s)",
					report.CountText(out.Overdue), report.CountText(out.Sent+out.Unsent), p.plan.Grace)
			}
		}
		if out.Sent == 0 && (p.spec.Kind == Closed || p.spec.Kind == Open && out.Unsent > 0) {
			say("no request was sent")
		}
	}
	return strings.Join(all, "; ")
}

// wanted is how many clients a ramp is to have up at its end.
func (p *phaseRun) wanted() int {
	if p.spec.Count == 0 {
		return p.plan.Clients
	}
	up := 0
	for _, n := range p.upAtStart {
		up += n
	}
	return min(p.plan.Clients, up+p.spec.Count)
}

// why a phase ended before it was done.
func (p *phaseRun) why() string {
	for _, r := range p.results {
		if r != nil && r.Stalled {
			return fmt.Sprintf(": for %s no other got in", time.Duration(stall(p.plan, p.spec)))
		}
	}
	if d := time.Duration(p.spec.Duration); d > 0 && p.clock.now() >= p.start+int64(d) {
		return fmt.Sprintf(": its bound of %s was over", d)
	}
	return ""
}
