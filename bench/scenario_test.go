package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func loadScenario(t *testing.T, text string) (*Plan, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Plan{Clients: 5, Targets: []string{"ws://a/"}}
	return p, LoadScenario(path, p)
}

// What is sent may stand once, beside the phases; a phase's own goes before it.
func TestScenarioDefaults(t *testing.T) {
	p, err := loadScenario(t, "payload: ping\nexpect: pong\nphases:\n- {kind: ramp}\n- {kind: open, rate: 1, duration: 1s}\n"+
		"- {kind: closed, duration: 1s, payload: own}\n- {kind: closed, duration: 1s, bytes: 64}\n- {kind: open, rate: 1, duration: 1s, expect: mine}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Complete(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Phase{{}, {Payload: "ping", Expect: "pong"}, {Payload: "own"}, {Bytes: 64}, {Payload: "ping", Expect: "mine"}} {
		if ph := p.Phases[i]; ph.Payload != want.Payload || ph.Expect != want.Expect || ph.Bytes != want.Bytes {
			t.Errorf("phase %d: payload %q, expect %q, %d bytes", i+1, ph.Payload, ph.Expect, ph.Bytes)
		}
	}
}

// A mistake is told with its place and what could stand there.
func TestScenarioMistakes(t *testing.T) {
	for text, wants := range map[string][]string{
		"clients: 1\nexpct: x":                             {"line 2", `"expct"`, "expect", "clients"},
		"phases:\n- kind: ramp\n- {kind: hold, lasts: 3s}": {"line 3", "in phases, number 2", `"lasts"`, "duration"},
		"groups: [{manner: x}]":                            {"in groups, number 1", `"manner"`, "manners"},
		"phases:\n- {kind: hold, duration: soon}":          {"line 2", "in phases, number 1", "duration", `"soon"`, "30s"},
		"grace: 5":                         {"line 1", "grace", `"5"`, "unit"},
		"clients: many":                    {"clients", "a whole number"},
		"targets: ws://a/":                 {"targets", "a list"},
		"- kind: ramp":                     {"line 1", "KEY: VALUE"},
		"phases: [5]":                      {"phases", "keys and values"},
		"p: &p {kind: hold}\nphases: [*p]": {"line 1", `"p"`},
		"phases:\n- &p {kind: hold}\n- <<: *p\n  duratio: 1s\n": {"line 4", `"duratio"`},
	} {
		_, err := loadScenario(t, text)
		if err == nil {
			t.Errorf("%q was taken", text)
			continue
		}
		for _, want := range append(wants, "s.yaml") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q does not say %q", text, err, want)
			}
		}
	}
}

// Merged keys, an empty file and a report's own plan are scenarios.
func TestScenarioForms(t *testing.T) {
	if _, err := loadScenario(t, ""); err != nil {
		t.Error(err)
	}
	_, err := loadScenario(t, `{"handshake_timeout": "10s", "phases": [{"name": "a", "kind": "hold", "duration": "1s"}]}`)
	if err != nil {
		t.Error(err)
	}
	p, err := loadScenario(t, "phases:\n- &p {kind: hold, duration: 1s}\n- <<: *p\n  name: again\n")
	if err != nil || p.Phases[1].Name != "again" || p.Phases[1].Duration != Duration(time.Second) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestScenario(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	write := func(text string) { os.WriteFile(path, []byte(text), 0o600) }
	write("clients: 7\nphases:\n- kind: ramp\n  concurrency: 3\n- {name: beats, kind: open, interval: 30s, jitter: 1.5s, duration: 2m, payload: x}\n")
	p := Plan{Clients: 5, Targets: []string{"ws://a/"}}
	if err := LoadScenario(path, &p); err != nil {
		t.Fatal(err)
	}
	if p.Clients != 7 || p.Targets[0] != "ws://a/" || p.Phases[1].Jitter != Duration(1500*time.Millisecond) || p.Phases[0].Concurrency != 3 {
		t.Errorf("%+v", p)
	}
	if err := p.Complete(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"phase: []", "phases: [{kind: ramp, duration: soon}]", "phases: [{kindd: ramp}]", "a: b: c", "clients: many"} {
		write(bad)
		if err := LoadScenario(path, &Plan{}); err == nil || !strings.Contains(err.Error(), "s.yaml") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []Phase{{Kind: "nap"}, {Kind: Hold}, {Kind: Open, Duration: 1, Payload: "x"}, {Kind: Closed, Duration: 1},
		{Kind: Open, Duration: 1, Payload: "x", Rate: 1, Interval: 1}, {Kind: Storm}, {Kind: Storm, Share: 2}, {Kind: Publish, Bytes: 5}, {Kind: Publish}} {
		p := Plan{Clients: 1, Targets: []string{"ws://a/"}, Phases: []Phase{bad}}
		if bad.Bytes > 0 {
			p.Publish = []string{"http://a/"}
		}
		if err := p.Complete(); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// A report's plan is a scenario, so that a run can be repeated: its keys are as
// public as the report's.
func TestGoldenPlan(t *testing.T) {
	var p Plan
	path := filepath.Join("testdata", "golden", "plan.json")
	if err := LoadScenario(path, &p); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(&p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile(path); err != nil || string(got)+"\n" != string(want) {
		t.Errorf("%v\n%s", err, got)
	}
}

// A byte order mark in front of a scenario is skipped.
func TestByteOrderMark(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("\ufeff"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"clients: 7\n", `{"clients": 7}`, "# seven\nclients: 7\n"} {
		write(text)
		var p Plan
		if err := LoadScenario(file, &p); err != nil || p.Clients != 7 {
			t.Errorf("%q: %d clients, %v", text, p.Clients, err)
		}
	}
}
