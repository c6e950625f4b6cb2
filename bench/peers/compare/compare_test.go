package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The whole program, with the floor as a real server and a wsd that makes its
// figures up: every file is written, and says what was measured.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeWsd, "1")
	out := t.TempDir()
	// An address of its own: on 127.0.0.1 any client may hold the port.
	host := fmt.Sprintf("127.%d.%d.251", 64+os.Getpid()>>8&63, os.Getpid()&255)
	args := []string{"--wsd", self, "--only", "wsd,floor", "--peers", "..", "--quick", "--out", out,
		"--listen", host + ":18166", "--admin", host + ":18167",
		"--extra", "again=" + self + " serve --listen {listen} --admin {admin}"}
	if err := run(t.Context(), args); err != nil {
		t.Fatal(err)
	}
	r, err := loadResult(filepath.Join(out, "comparison.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := names(r); !slices.Equal(got, []string{"floor", "wsd", "again"}) {
		t.Errorf("servers %v", got)
	}
	for _, m := range r.Servers {
		if got := m.Figures["closed_cpu_us"].Median; got != 5 { // 0.02 s for 4000 messages
			t.Errorf("%s: %v µs a message, want 5", m.Name, got)
		}
		if got := m.Figures["handshakes_per_s"].Median; got != 500 {
			t.Errorf("%s: %v handshakes/s, want 500", m.Name, got)
		}
	}
	checkFiles(t, out, len(headline)+1)

	again := t.TempDir()
	if err := run(t.Context(), []string{"--from", filepath.Join(out, "comparison.json"), "--out", again}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"comparison.md", "overview.svg"} {
		a, errA := os.ReadFile(filepath.Join(out, f))
		b, errB := os.ReadFile(filepath.Join(again, f))
		if err := errors.Join(errA, errB); err != nil || string(a) != string(b) {
			t.Errorf("%s written again from the JSON differs (%v)", f, err)
		}
	}
}

func names(r Result) []string {
	var all []string
	for _, m := range r.Servers {
		all = append(all, m.Name)
	}
	return all
}

// checkFiles wants well-formed SVG files that load nothing from elsewhere.
func checkFiles(t *testing.T, dir string, plots int) {
	t.Helper()
	svgs, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(svgs) != plots {
		t.Errorf("%d plots, want %d (%v)", len(svgs), plots, err)
	}
	for _, f := range svgs {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			_, err = d.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", f, err)
		}
		for _, word := range []string{"href", "url(", "@import", "NaN", "Inf"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %q in it", f, word)
			}
		}
	}
	md, err := os.ReadFile(filepath.Join(dir, "comparison.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if !strings.Contains(string(md), "| "+f.Title+", ") {
			t.Errorf("comparison.md has no row for %s", f.Title)
		}
	}
}

func TestRefuses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--wsd is missing":   {},
		"--clients 90000000": {"--wsd", self, "--clients", "90000000"},
		"must differ":        {"--wsd", self, "--bench-cpu", "0"},
		"must be positive":   {"--wsd", self, "--rounds", "0"},
		"there is no \"x\"":  {"--wsd", self, "--only", "x"},
		"unexpected":         {"gws"},
		"no such file":       {"--wsd", "./nothing-here"},
		"schema":             {"--from", "testdata/bench.json"},
	} {
		if err := run(t.Context(), append(args, "--out", t.TempDir())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q in it", args, err, want)
		}
	}
}

var steps = []Step{
	{Name: "ramp", Kind: Ramp, Concurrency: 128},
	{Name: "idle", Kind: Hold, Duration: 10 * time.Second},
	{Name: "closed", Kind: Closed, Active: 10, Duration: time.Second, Payload: heartbeat, Expect: alive},
	{Name: "open", Kind: Open, Rate: 20000, Duration: time.Second, Payload: heartbeat, Expect: alive},
	{Name: "publish", Kind: Publish, Count: 3, Bytes: 128},
}

func TestScenario(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	if err := writeScenario(file, steps); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("scenario:\n%s\nwant testdata/scenario.json:\n%s", got, want)
	}
}

func TestParseBench(t *testing.T) {
	text, err := os.ReadFile("testdata/bench.json")
	if err != nil {
		t.Fatal(err)
	}
	rep, err := parseBench(text, steps)
	if err != nil {
		t.Fatal(err)
	}
	open := rep.Phases["open"]
	if open.Count != 200000 || open.P99 != 2600 || open.LagP99 != 41 || open.ServerCPU != 3.12 || open.Bad["lost"] != 2 {
		t.Errorf("open: %+v", open)
	}
	if p := rep.Phases["publish"]; p.Last != 125000 || p.Count != 57000 || p.ServerRSS != 4300800 {
		t.Errorf("publish: %+v", p)
	}
	if p := rep.Phases["ramp"]; p.Count != 19000 || p.Seconds != 0.6 || len(p.Bad) != 0 {
		t.Errorf("ramp: %+v", p)
	}
	if len(rep.Limits) != 1 {
		t.Errorf("limits %q", rep.Limits)
	}
}

// Every number that is taken out of the JSON is missed by its name.
func TestParseBenchMissing(t *testing.T) {
	for path, step := range map[string]string{
		"seconds": "idle", "handshakes": "ramp", "deliveries": "publish", "messages": "closed", "lost": "open",
		"lag_us p99": "open", "to_last_us p50": "publish", "latency_us p999": "closed", "server rss_bytes": "idle",
	} {
		var doc struct {
			Phases []map[string]any `json:"phases"`
		}
		for _, s := range steps {
			doc.Phases = append(doc.Phases, fakePhase(s.Name))
		}
		at := doc.Phases[slices.IndexFunc(steps, func(s Step) bool { return s.Name == step })]
		keys := strings.Fields(path)
		for _, k := range keys[:len(keys)-1] {
			at = at[k].(map[string]any)
		}
		delete(at, keys[len(keys)-1])
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseBench(text, steps)
		if want := `phase "` + step + `" has no number [` + path + `]`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", path, err)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		rounds              []float64
		median, least, most float64
	}{
		{nil, 0, 0, 0},
		{[]float64{3}, 3, 3, 3},
		{[]float64{9, 1, 5}, 5, 1, 9},
		{[]float64{4, 1, 2, 9}, 3, 1, 9},
	} {
		s := spreadOf(c.rounds)
		if s.Median != c.median || s.Min != c.least || s.Max != c.most || !slices.Equal(s.Rounds, c.rounds) {
			t.Errorf("%v: %+v", c.rounds, s)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.126: "0.126", 7.2: "7.20", 15.63: "15.6", 457.4: "457", 1036: "1,036",
		1234567: "1,234,567", -12: "-12.0", -1234: "-1,234", -123456: "-123,456", 999.7: "1,000",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestTicks(t *testing.T) {
	for most, want := range map[float64]string{
		25: "0 5 10 15 20 25", 74000: "0 20,000 40,000 60,000", 0.9: "0 0.2 0.4 0.6 0.8", 17.7: "0 5 10 15",
	} {
		var got []string
		for _, tick := range (ticks{}).Ticks(0, most) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("up to %v: %v, want %s", most, got, want)
		}
	}
}

func TestLogarithmic(t *testing.T) {
	for _, c := range []struct {
		medians []float64
		from    float64
		yes     bool
	}{
		{[]float64{5, 6, 20}, 0, false},
		{[]float64{16, 457, 19365}, 10, true},
		{[]float64{-3, 457, 19365}, 100, true}, // memory within noise of none
		{[]float64{0, 0}, 0, false},
	} {
		var s []Spread
		for _, m := range c.medians {
			s = append(s, Spread{Median: m, Min: m, Max: m})
		}
		from, yes := logarithmic(s)
		if yes != c.yes || math.Abs(from-c.from) > 1e-9 {
			t.Errorf("%v: %v, %v", c.medians, from, yes)
		}
	}
}

func TestShortVersion(t *testing.T) {
	for v, want := range map[string]string{"v1.6.9": "v1.6.9", "v0.0.0-20190618140210-3c14a0dc985f": "3c14a0dc985f", "": ""} {
		if got := shortVersion(v); got != want {
			t.Errorf("%q: %q, want %q", v, got, want)
		}
	}
}
