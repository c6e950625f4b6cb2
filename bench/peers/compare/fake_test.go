package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"testing"
)

// The test binary is its own wsd: with this variable set it is a program whose
// serve accepts connections and whose bench writes made-up figures.
const fakeWsd = "COMPARE_TEST_FAKE_WSD"

func TestMain(m *testing.M) {
	if os.Getenv(fakeWsd) == "" {
		os.Exit(m.Run())
	}
	if err := fake(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fake(args []string) error {
	flags := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 { // every flag has a value
		flags[args[i]] = args[i+1]
	}
	switch args[0] {
	case "serve":
		if _, err := net.Listen("tcp", flags["--listen"]); err != nil {
			return err
		}
		if _, err := net.Listen("tcp", flags["--admin"]); err != nil {
			return err
		}
		select {}
	case "bench":
		return fakeBench(flags)
	}
	return fmt.Errorf("no command %q", args[0])
}

func fakeBench(flags map[string]string) error {
	text, err := os.ReadFile(flags["--scenario"])
	if err != nil {
		return err
	}
	var in, out struct {
		Limits []string         `json:"limits,omitempty"`
		Phases []map[string]any `json:"phases"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	for _, p := range in.Phases {
		out.Phases = append(out.Phases, fakePhase(p["name"].(string)))
	}
	if text, err = json.Marshal(out); err != nil {
		return err
	}
	return os.WriteFile(flags["--json"], text, 0o644)
}

// fakePhase has every number that parseBench may ask for.
func fakePhase(name string) map[string]any {
	p := map[string]any{
		"name": name, "seconds": 2, "handshakes": 1000, "messages": 4000, "deliveries": 500,
		"latency_us": map[string]any{"p50": 100, "p99": 900, "p999": 2000},
		"to_last_us": map[string]any{"p50": 7000},
		"lag_us":     map[string]any{"p99": 30},
		"server":     map[string]any{"cpu_seconds": 0.02, "rss_bytes": 3e9},
	}
	for _, k := range badCounts {
		p[k] = 0
	}
	return p
}
