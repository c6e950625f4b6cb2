package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	"wsd/bench/report"
)

// Numbers that are none, or cannot be meant, are refused by the name of their key.
func TestNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	second := Duration(time.Second)
	for want, p := range map[string]Plan{
		"rate NaN":            {Phases: []Phase{{Kind: Open, Rate: nan, Duration: second, Payload: "x"}}},
		"rate +Inf":           {Phases: []Phase{{Kind: Ramp, Rate: inf}}},
		"rate 1e+300":         {Phases: []Phase{{Kind: Open, Rate: 1e300, Duration: second, Payload: "x"}}},
		"rate -1":             {Phases: []Phase{{Kind: Open, Rate: -1, Interval: second, Duration: second, Payload: "x"}}},
		"publish_rate NaN":    {Phases: []Phase{{Kind: Hold, Duration: second, PublishRate: nan}}},
		"share NaN":           {Phases: []Phase{{Kind: Storm, Share: nan}}},
		"active -1":           {Phases: []Phase{{Kind: Closed, Duration: second, Payload: "x", Active: -1}}},
		"depth -1":            {Phases: []Phase{{Kind: Closed, Duration: second, Payload: "x", Depth: -1}}},
		"count -1":            {Phases: []Phase{{Kind: Ramp, Count: -1}}},
		"duration -1s":        {Phases: []Phase{{Kind: Hold, Duration: -second}}},
		"retries -1":          {Retries: -1, Phases: []Phase{{Kind: Ramp}}},
		"max_message 1 << 40": {MaxMessage: 1 << 40, Phases: []Phase{{Kind: Ramp}}},
	} {
		p.Targets, p.Clients = []string{"ws://a/"}, 1
		want, _, _ = strings.Cut(want, " 1 <<")
		if err := p.Complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	p := Plan{Targets: []string{"ws://a/"}, Clients: 1, Phases: []Phase{{Kind: Ramp}}, Groups: []Group{{Behaviour: "ping-flood", Count: 1, Rate: nan}}}
	if err := p.Complete(); err == nil || !strings.Contains(err.Error(), "rate NaN") {
		t.Error(err)
	}
	for _, text := range []string{"p99<nan", "rate>inf", "loss=-inf"} {
		if _, err := report.ParseAssertions([]string{text}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for text, wants := range map[string][]string{
		"phases:\n- {kind: open, rate: .nan, duration: 1s}": {"line 2", "rate", ".nan"},
		"groups:\n- {manners: ping-flood, rate: .inf}":      {"line 2", "rate", ".inf"},
	} {
		_, err := loadScenario(t, text)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v does not say %q", text, err, want)
			}
		}
	}
}
