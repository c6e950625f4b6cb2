package bench

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A histogram keeps to its values within a thousandth, merged and written down.
func TestHist(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var all []int64
	var parts [3]Hist
	for i := range 30000 {
		v := int64(rng.ExpFloat64() * 1e6)
		all = append(all, v)
		parts[i%3].Record(v)
	}
	slices.Sort(all)
	var sum Hist
	for i := range parts {
		sum.Merge(&parts[i])
	}
	text, err := json.Marshal(&sum)
	if err != nil {
		t.Fatal(err)
	}
	var back Hist
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*Hist{&sum, &back} {
		if h.Count() != 30000 || h.Max() != all[len(all)-1] {
			t.Errorf("%d values to %d", h.Count(), h.Max())
		}
		for _, q := range []float64{.1, .5, .9, .99, .999, 1} {
			want := all[int(math.Ceil(q*30000))-1]
			if got := h.Quantile(q); float64(got) < float64(want)*.999-histLow || float64(got) > float64(want)*1.001+histLow {
				t.Errorf("quantile %v is %d, not %d", q, got, want)
			}
		}
	}
	taken := sum.take()
	if sum.Count() != 0 || sum.Max() != 0 || taken.Count() != 30000 {
		t.Errorf("taken %d, left %d", taken.Count(), sum.Count())
	}
	sum.Record(7000)
	if sum.Count() != 1 || sum.Max() != 7000 || sum.Quantile(.5) != 7000 {
		t.Errorf("after take: %d values, max %d", sum.Count(), sum.Max())
	}
	var none, copied Hist
	if text, _ = json.Marshal(&none); string(text) != "null" || json.Unmarshal(text, &copied) != nil || copied.Count() != 0 {
		t.Errorf("empty: %s", text)
	}
	none.Record(-5)
	none.Record(histHigh * 2)
	if none.Count() != 2 || none.Max() != histHigh {
		t.Errorf("out of bounds: %d values to %d", none.Count(), none.Max())
	}
}

// aReport is one of a short run in which a bit of everything happens.
func aReport(t *testing.T) *Report {
	t.Helper()
	var r *Report
	longEnough(t, 50*time.Millisecond, func(d Duration) bool {
		s := start(t, &testServer{closeWith: func(n int) (ws.StatusCode, bool) { return 1008, n >= 4 }})
		closed := closedLoop(4)
		closed.Duration = d
		var p map[string]*PhaseReport
		r, p = load(t, s, Plan{Clients: 4, PIDs: []int{os.Getpid()}, Publish: []string{s.publisher()},
			Groups: []Group{{Manners: "half-frame", Count: 1}}},
			publishPhase(1), Phase{Kind: Open, Rate: 20, Duration: Duration(100 * time.Millisecond), Payload: "x"}, closed)
		return p["closed"].UnexpectedCloses == 4
	})
	r.Command = []string{"wsd", "bench", "--header=<script>"}
	return r
}

// A report is the same after a trip through its file.
func TestReportFile(t *testing.T) {
	r := aReport(t)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	back, err := ReadReport(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	var a, b bytes.Buffer
	r.WriteTable(&a)
	back.WriteTable(&b)
	if a.String() != b.String() {
		t.Errorf("tables differ\n%s\n%s", &a, &b)
	}
	os.WriteFile(path, []byte(`{"schema":"wsd-bench/99"}`), 0o600)
	if _, err := ReadReport(path); err == nil || !strings.Contains(err.Error(), "wsd-bench/99") {
		t.Errorf("another schema: %v", err)
	}
}

// What the driver of side-by-side rounds reads is there, zero or not.
func TestReportFields(t *testing.T) {
	text, _ := json.Marshal(aReport(t))
	var doc struct {
		Schema string
		Limits []string
		Phases []map[string]any
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Schema != "wsd-bench/2" || doc.Limits == nil {
		t.Fatalf("%v %+v", err, doc)
	}
	for _, p := range doc.Phases {
		want := []string{"seconds", "failed", "lost", "duplicates", "reordered", "wrong_answers", "unexpected_closes",
			"server.cpu_seconds", "server.rss_bytes"}
		switch p["kind"] {
		case Ramp:
			want = append(want, "handshakes", "latency_us.p50", "latency_us.p999")
		case Open:
			want = append(want, "messages", "lag_us.p99", "latency_us.hdr", "uncorrected_us.p50")
		case Publish:
			want = append(want, "deliveries", "to_last_us.p50", "to_first_us.p50")
		}
		for _, path := range want {
			var at any = p
			for key := range strings.SplitSeq(path, ".") {
				m, _ := at.(map[string]any)
				at = m[key]
			}
			if at == nil {
				t.Errorf("phase %v has no %s", p["name"], path)
			}
		}
	}
}

// The page needs nothing from outside, and what is quoted stays text.
func TestHTML(t *testing.T) {
	r := aReport(t)
	r.Limits = append(r.Limits, "phase x: too slow")
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if found := regexp.MustCompile(`(?i)<script|src=|<link|@import|url\(`).FindString(text); found != "" {
		t.Errorf("the page has %q", found)
	}
	for _, want := range []string{"<svg", "--header=&lt;script&gt;", "too slow", "Latency by percentile", "publish", "closed with 1008", "</html>"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a plot has a point that is nowhere")
	}
}

func TestTable(t *testing.T) {
	r := aReport(t)
	r.Limits = []string{"phase x: too slow"}
	var b bytes.Buffer
	r.WriteTable(&b)
	for _, want := range []string{"handshakes", "deliveries", "to last", "uncorrected", "own lag", "server cpu",
		"closed with 1008: 4", "1 half-frame: 1 connected", "GENERATOR-LIMITED"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\ndoes not have %q", &b, want)
		}
	}
}

// A group of which nobody has got through yet is in the table all the same.
func TestTableOfPendingGroup(t *testing.T) {
	p := PhaseReport{Name: "ramp", Kind: Ramp, Groups: []GroupResult{{Manners: "slow-handshake", Count: 2}}}
	var b strings.Builder
	p.writeTrouble(&b)
	if !strings.Contains(b.String(), "2 slow-handshake: 0 connected") {
		t.Errorf("%q", b.String())
	}
}

func TestAssertions(t *testing.T) {
	r := aReport(t) // its closed phase has closes and losses
	for text, holds := range map[string]bool{
		"p99<1h":                 true,
		"open.p99<1h,open.max>0": true,
		"p50<1ns":                false,
		"closes=4":               false, // of every phase
		"closed.closes=4":        true,
		"closed.closes<=3":       false,
		"publish.loss=0":         true,
		"failed=0":               true,
		"ramp.up>=4":             true,
		"ramp.up>4":              false,
		"publish.last<1h":        true,
		"closed.last<1h":         false, // has no such figure
		"nowhere.p99<1h":         false,
	} {
		all, err := ParseAssertions([]string{text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var b bytes.Buffer
		err = r.Check(&b, all)
		if (err == nil) != holds || strings.Contains(b.String(), "FAIL") == holds {
			t.Errorf("%s: %v, %q", text, err, &b)
		}
	}
	for _, bad := range []string{"", "p99", "p99<", "p99<fast", "speed<5", "<5ms", "p99!5"} {
		if _, err := ParseAssertions([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b := aReport(t), aReport(t)
	thirty, twenty, five, ten, shrunk := 30.0, 20.0, 5.0, 10.0, -5.0
	b.Phases[0].Server.CPUPerEvent, a.Phases[0].Server.CPUPerEvent = &thirty, &twenty
	b.Limits = []string{"phase x: too slow"}
	var out bytes.Buffer
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1.500", "p99", "the second is GENERATOR-LIMITED", "closed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\ndoes not have %q", &out, want)
		}
	}
	out.Reset()
	x := &Report{Phases: []PhaseReport{{Name: "a", Server: ServerReport{CPUPerEvent: &five}, Machine: MachineReport{KernelPerClient: &ten}}}}
	y := &Report{Phases: []PhaseReport{{Name: "a", Machine: MachineReport{KernelPerClient: &shrunk}}}}
	if err := Compare(&out, x, y); err != nil || strings.Contains(out.String(), "0.000") || strings.Contains(out.String(), "-0.500") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := Compare(&out, a, &Report{}); err == nil {
		t.Error("nothing in common, and no error")
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

// A pipe gets plain lines, a terminal one that is rewritten.
func TestView(t *testing.T) {
	progress := &Progress{Phase: &Phase{Name: "open", Kind: Open, Duration: Duration(20 * time.Second)}, Elapsed: 6 * time.Second,
		Clients: 10, Counts: Counts{Lost: 2}, Point: Point{Up: 10, Messages: 1234, P50: 100, P99: 2000}}
	var b bytes.Buffer
	v := NewView(&b)
	v.Begin(0, progress.Phase)
	v.Progress(progress)
	v.Progress(progress) // too soon for another line
	v.End(&PhaseReport{Name: "open", Kind: Open, Up: 10})
	v.Close()
	if s := b.String(); strings.ContainsAny(s, "\r\x1b") || strings.Count(s, "\n") != 3 ||
		!strings.Contains(s, "1,234 answers/s, p50 100µs p99 2ms, 2 errors") {
		t.Errorf("%q", s)
	}
	progress.Counts = Counts{Retries: 3, Errors: map[string]uint64{"EOF": 1, "ECONNREFUSED": 2}, Statuses: map[string]uint64{"503": 1}}
	if s := progressText(progress); !strings.HasSuffix(s, ", 2 attempts failed: ECONNREFUSED") {
		t.Errorf("%q", s)
	}
	b.Reset()
	v = NewView(&b)
	v.terminal, v.width = true, 60
	v.Progress(progress)
	v.Progress(progress)
	for line := range strings.SplitSeq(strings.TrimPrefix(b.String(), "\r\x1b[K"), "\r\x1b[K") {
		if n := len([]rune(line)); n >= 60 || !strings.HasPrefix(line, "███░") {
			t.Errorf("%d wide: %q", n, line)
		}
	}
	v.Close()
	if !strings.HasSuffix(b.String(), "\r\x1b[K") {
		t.Errorf("left behind: %q", b.String())
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := countText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[float64]string{0: "0 B", 512: "512 B", 1024: "1 KiB", 1536: "1.50 KiB", 20 << 20: "20 MiB", 3 << 40: "3.0 TiB"} {
		if got := byteText(n); got != want {
			t.Errorf("%v: %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0s", 500: "<1µs", 12345: "12.3µs", 123456789: "123ms", 61_000_000_000: "1m1s"} {
		if got := micros(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
