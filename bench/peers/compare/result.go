package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

const schema = "wsd-compare/1"

// Result is a whole comparison, as comparison.json holds it.
type Result struct {
	Schema   string     `json:"schema"`
	Date     time.Time  `json:"date"`
	Host     Host       `json:"host"`
	Plan     Plan       `json:"plan"`
	Figures  []Figure   `json:"figures"`
	Servers  []Measured `json:"servers"` // the floor, wsd, then by CPU for a heartbeat
	Problems []string   `json:"problems"`
}

// Measured is one server's figures, by key.
type Measured struct {
	Name    string            `json:"name"`
	Version string            `json:"version,omitempty"`
	Figures map[string]Spread `json:"figures"`
}

// Host is where it was measured.
type Host struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
}

func hostFacts() Host {
	h := Host{CPUs: runtime.NumCPU(), Go: runtime.Version(), CPU: runtime.GOARCH}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = string(bytes.TrimSpace(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil { // arm64 has no such line
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				h.CPU = strings.TrimSpace(v)
				break
			}
		}
	}
	return h
}

// versionOf finds which version of a module a built program holds.
func versionOf(program, module string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return shortVersion(d.Version)
		}
	}
	return ""
}

// shortVersion leaves of a version without a tag, v0.0.0-TIME-COMMIT, the commit.
func shortVersion(v string) string {
	if rest, ok := strings.CutPrefix(v, "v0.0.0-"); ok {
		return rest[strings.LastIndexByte(rest, '-')+1:]
	}
	return v
}

// result turns the samples into figures. Servers without a sample are left
// out; the problems say why.
func (d *driver) result(servers []Server) Result {
	res := Result{
		Schema: schema, Date: time.Now().UTC().Truncate(time.Second),
		Host: hostFacts(), Plan: d.plan, Figures: figures, Problems: d.problems,
	}
	for _, s := range servers {
		rounds := d.samples[s.Name]
		if len(rounds) == 0 {
			continue
		}
		m := Measured{Name: s.Name, Version: s.Version, Figures: make(map[string]Spread)}
		for _, f := range figures {
			var values []float64
			for _, r := range rounds {
				if r.has(f) {
					values = append(values, f.from(r))
				}
			}
			if len(values) > 0 {
				m.Figures[f.Key] = spreadOf(values)
			}
		}
		res.Servers = append(res.Servers, m)
	}
	slices.SortStableFunc(res.Servers, byHeartbeat)
	return res
}

func byHeartbeat(a, b Measured) int {
	place := func(m Measured) float64 {
		switch m.Name {
		case "floor":
			return -2
		case "wsd":
			return -1
		}
		return m.Figures["closed_cpu_us"].Median
	}
	switch x, y := place(a), place(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}

func (r Result) save(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func loadResult(file string) (Result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Result{}, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return Result{}, fmt.Errorf("%s: %w", file, err)
	}
	if r.Schema != schema {
		return Result{}, fmt.Errorf("%s: schema %q, want %q", file, r.Schema, schema)
	}
	return r, nil
}
