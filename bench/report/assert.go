package report

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Assertion is something that has to hold of a report, as in "open.p99<50ms".
type Assertion struct {
	text   string
	phase  string // "" means every phase that has the figure
	metric string
	op     string
	value  float64
}

// The figures that can be asserted. Times are nanoseconds; absent: not in this phase.
var figures = map[string]func(p *Phase) (v float64, ok bool){
	"p50":   quantileOf(.5),
	"p90":   quantileOf(.9),
	"p95":   quantileOf(.95),
	"p99":   quantileOf(.99),
	"p999":  quantileOf(.999),
	"p9999": quantileOf(.9999),
	"max":   quantileOf(1),
	"mean": func(p *Phase) (float64, bool) {
		if p.Latency == nil {
			return 0, false
		}
		return p.Latency.Mean(), true
	},
	"lag":        func(p *Phase) (float64, bool) { return float64(p.Lag.Quantile(.99)), p.Lag != nil },
	"last":       func(p *Phase) (float64, bool) { return float64(p.ToLast.Quantile(1)), p.ToLast != nil },
	"loss":       countOf(func(c *Counts) uint64 { return c.Lost }),
	"failed":     countOf(func(c *Counts) uint64 { return c.Failed }),
	"retries":    countOf(func(c *Counts) uint64 { return c.Retries }),
	"duplicates": countOf(func(c *Counts) uint64 { return c.Duplicates }),
	"reordered":  countOf(func(c *Counts) uint64 { return c.Reordered }),
	"wrong":      countOf(func(c *Counts) uint64 { return c.WrongAnswers }),
	"closes":     countOf(func(c *Counts) uint64 { return c.UnexpectedCloses }),
	"errors":     countOf((*Counts).Faults),
	"up":         func(p *Phase) (float64, bool) { return float64(p.Up), true },
	"rate": func(p *Phase) (float64, bool) {
		return p.rate(), p.Kind != Hold
	},
	"cpu":    measuredOf(func(p *Phase) *float64 { return p.Server.CPUPerEvent }, 1e3),
	"rss":    measuredOf(func(p *Phase) *float64 { return p.Server.RSSPerClient }, 1),
	"kernel": measuredOf(func(p *Phase) *float64 { return p.Machine.KernelPerClient }, 1),
}

func measuredOf(of func(*Phase) *float64, times float64) func(*Phase) (float64, bool) {
	return func(p *Phase) (float64, bool) { v := of(p); return number(v) * times, v != nil }
}

func quantileOf(q float64) func(*Phase) (float64, bool) {
	return func(p *Phase) (float64, bool) { return float64(p.Latency.Quantile(q)), p.Latency != nil }
}

func countOf(n func(*Counts) uint64) func(*Phase) (float64, bool) {
	return func(p *Phase) (float64, bool) { return float64(n(&p.Counts)), true }
}

// ParseAssertions reads lists of [PHASE.]FIGURE OP VALUE; a value is a number
// or a length of time.
func ParseAssertions(lists []string) (all []Assertion, err error) {
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			a, err := parseAssertion(strings.TrimSpace(text))
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
	}
	return all, nil
}

func parseAssertion(text string) (a Assertion, err error) {
	i := strings.IndexAny(text, "<>=")
	if i < 0 {
		return a, fmt.Errorf("%q has no <, <=, =, >= or >: write it as in p99<50ms", text)
	}
	a = Assertion{text: text, op: text[i : i+1]}
	value := text[i+1:]
	if rest, ok := strings.CutPrefix(value, "="); ok {
		a.op, value = a.op+"=", rest
	}
	a.metric = strings.TrimSpace(text[:i])
	if dot := strings.LastIndexByte(a.metric, '.'); dot >= 0 {
		a.phase, a.metric = a.metric[:dot], a.metric[dot+1:]
	}
	if figures[a.metric] == nil {
		return a, fmt.Errorf("%q: there is no figure %q; there are %s", text, a.metric, strings.Join(slices.Sorted(maps.Keys(figures)), ", "))
	}
	value = strings.TrimSpace(value)
	if d, err := time.ParseDuration(value); err == nil {
		a.value = float64(d)
	} else if a.value, err = strconv.ParseFloat(value, 64); err != nil || a.value-a.value != 0 {
		return a, fmt.Errorf("%q: %q is neither a number nor a length of time as 50ms", text, value)
	}
	return a, nil
}

func (a *Assertion) holds(v float64) bool {
	switch a.op {
	case "<":
		return v < a.value
	case "<=":
		return v <= a.value
	case ">":
		return v > a.value
	case ">=":
		return v >= a.value
	}
	return v == a.value
}

// Check writes a line for each assertion and returns an error if one does not
// hold, or speaks of nothing that is in the report.
func (r *Report) Check(w io.Writer, all []Assertion) error {
	var errs []error
	for i := range all {
		if err := r.check(&all[i]); err != nil {
			fmt.Fprintf(w, "FAIL %v\n", err)
			errs = append(errs, err)
		} else {
			fmt.Fprintf(w, "ok   %s\n", all[i].text)
		}
	}
	return errors.Join(errs...)
}

func (r *Report) check(a *Assertion) error {
	seen := false
	for i := range r.Phases {
		p := &r.Phases[i]
		if a.phase != "" && a.phase != p.Name {
			continue
		}
		v, ok := figures[a.metric](p)
		if !ok {
			continue
		}
		seen = true
		if !a.holds(v) {
			return fmt.Errorf("%s: in phase %q it is %s", a.text, p.Name, a.valueText(v))
		}
	}
	if !seen {
		return fmt.Errorf("%s: no phase has this figure", a.text)
	}
	return nil
}

func (a *Assertion) valueText(v float64) string {
	switch a.metric {
	case "p50", "p90", "p95", "p99", "p999", "p9999", "max", "mean", "lag", "last", "cpu":
		return micros(int64(v))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
