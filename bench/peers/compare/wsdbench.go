package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"wsd/bench/peers/fleet"
)

// wsdBench is the Loader that runs `wsd bench`.
type wsdBench struct {
	wsd string // the program
	cpu int    // processor to run it on; negative: all
	dir string // folder for scenarios and results
}

// Load writes the steps to a scenario file, runs the generator on it and reads
// its JSON. Both files stay, so that every figure can be traced.
func (b wsdBench) Load(ctx context.Context, l Load) (Report, error) {
	scenario := filepath.Join(b.dir, l.Label+".scenario.json")
	result := filepath.Join(b.dir, l.Label+".bench.json")
	if err := writeScenario(scenario, l.Steps); err != nil {
		return Report{}, err
	}
	cmd := fleet.Pinned(ctx, b.cpu, b.argv(l, scenario, result))
	if out, err := cmd.CombinedOutput(); err != nil {
		return Report{}, fmt.Errorf("%v: %w\n%s", cmd.Args, err, lastBytes(out, 2<<10))
	}
	text, err := os.ReadFile(result)
	if err != nil {
		return Report{}, err
	}
	rep, err := parseBench(text, l.Steps)
	rep.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return rep, err
}

func (b wsdBench) argv(l Load, scenario, result string) []string {
	argv := []string{
		b.wsd, "bench",
		"--url", l.URL,
		"--clients", strconv.Itoa(l.Clients),
		"--pid", strconv.Itoa(l.PID),
		"--scenario", scenario,
		"--json", result,
	}
	if l.Publish != "" {
		argv = append(argv, "--publish", l.Publish)
	}
	return argv
}

func lastBytes(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// writeScenario writes JSON, which is YAML too.
func writeScenario(file string, steps []Step) error {
	type timed struct {
		Step
		Duration string `json:"duration,omitempty"`
	}
	var doc struct {
		Phases []timed `json:"phases"`
	}
	for _, s := range steps {
		t := timed{Step: s}
		if s.Duration > 0 {
			t.Duration = s.Duration.String()
		}
		doc.Phases = append(doc.Phases, t)
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// badCounts must be 0 in every phase; what is not becomes a problem of the run.
var badCounts = []string{"failed", "lost", "duplicates", "reordered", "wrong_answers", "unexpected_closes"}

// parseBench reads the JSON of one run of `wsd bench`, which must have a phase
// for every step, by its name.
func parseBench(text []byte, steps []Step) (Report, error) {
	var doc struct {
		Schema string           `json:"schema"`
		Limits []string         `json:"limits"`
		Phases []map[string]any `json:"phases"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return Report{}, fmt.Errorf("wsd bench's JSON: %w", err)
	}
	rep := Report{Phases: make(map[string]Phase), Limits: doc.Limits}
	var missing error
	for _, s := range steps {
		f := fields{step: s.Name}
		for _, p := range doc.Phases {
			if p["name"] == s.Name {
				f.in = p
			}
		}
		rep.Phases[s.Name] = readPhase(&f, s)
		missing = errors.Join(missing, f.err)
	}
	return rep, missing
}

func readPhase(f *fields, s Step) Phase {
	p := Phase{
		Seconds:   f.need("seconds"),
		ServerCPU: f.need("server", "cpu_seconds"),
		ServerRSS: f.need("server", "rss_bytes"),
		Bad:       make(map[string]float64),
	}
	for _, k := range badCounts {
		if n := f.need(k); n != 0 {
			p.Bad[k] = n
		}
	}
	switch s.Kind {
	case Ramp:
		p.Count = f.need("handshakes")
	case Publish:
		p.Count = f.need("deliveries")
		p.Last = f.need("to_last_us", "p50")
	case Open:
		p.LagP99 = f.need("lag_us", "p99")
		fallthrough
	case Closed:
		p.Count = f.need("messages")
	}
	if s.Kind == Open || s.Kind == Closed || s.Kind == Ramp {
		p.P50 = f.need("latency_us", "p50")
		p.P99 = f.need("latency_us", "p99")
		p.P999 = f.need("latency_us", "p999")
	}
	return p
}

// fields looks numbers up in one phase and collects what is not there.
type fields struct {
	step string
	in   map[string]any
	err  error
}

func (f *fields) need(path ...string) float64 {
	var at any = f.in
	for _, key := range path {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	n, ok := at.(float64)
	if !ok {
		f.err = errors.Join(f.err, fmt.Errorf("wsd bench's JSON: phase %q has no number %v", f.step, path))
	}
	return n
}
