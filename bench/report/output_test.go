package report

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// A group of which nobody has got through yet is in the table all the same.
func TestTableOfPendingGroup(t *testing.T) {
	p := Phase{Name: "ramp", Kind: Ramp, Groups: []Group{{Behaviour: "slow-handshake", Count: 2}}}
	var b strings.Builder
	p.writeTrouble(&b)
	if !strings.Contains(b.String(), "2 slow-handshake: 0 connected") {
		t.Errorf("%q", b.String())
	}
}

// A pipe gets plain lines, a terminal one that is rewritten.
func TestView(t *testing.T) {
	progress := &Progress{Phase: "open", Elapsed: 6 * time.Second, Done: .3,
		Counts: Counts{Lost: 2}, Point: Point{Up: 10, Messages: 1234, P50: 100, P99: 2000}}
	var b bytes.Buffer
	v := NewView(&b, 0)
	v.Begin(progress.Phase)
	v.Progress(progress)
	v.Progress(progress) // too soon for another line
	v.End(&Phase{Name: "open", Kind: Open, Up: 10})
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
	v = NewView(&b, 60)
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
		if got := CountText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[float64]string{0: "0 B", 512: "512 B", 1024: "1 KiB", 1536: "1.50 KiB", 20 << 20: "20 MiB", 3 << 40: "3.0 TiB"} {
		if got := ByteText(n); got != want {
			t.Errorf("%v: %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0s", 500: "<1µs", 12345: "12.3µs", 123456789: "123ms", 61_000_000_000: "1m1s"} {
		if got := micros(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// aReport is one of a run in which the server closed everybody at last.
func aReport() *Report {
	latency := new(Hist)
	latency.Record(time.Millisecond.Nanoseconds())
	return &Report{Phases: []Phase{
		{Name: "ramp", Kind: Ramp, Up: 4, Latency: latency, Counts: Counts{Handshakes: 4}},
		{Name: "publish", Kind: Publish, Up: 4, Latency: latency, ToLast: latency, Counts: Counts{Publishes: 1, Deliveries: 4}},
		{Name: "open", Kind: Open, Up: 4, Latency: latency, Lag: latency, Counts: Counts{Sent: 2, Messages: 2}},
		{Name: "closed", Kind: Closed, Latency: latency, Counts: Counts{Sent: 4, Lost: 4, UnexpectedCloses: 4, Closes: Kinds{"1008": 4}}},
	}}
}

func TestAssertions(t *testing.T) {
	r := aReport()
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
	a, b := aReport(), aReport()
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
	x := &Report{Phases: []Phase{{Name: "a", Server: Server{CPUPerEvent: &five}, Machine: Machine{KernelPerClient: &ten}}}}
	y := &Report{Phases: []Phase{{Name: "a", Machine: Machine{KernelPerClient: &shrunk}}}}
	if err := Compare(&out, x, y); err != nil || strings.Contains(out.String(), "0.000") || strings.Contains(out.String(), "-0.500") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := Compare(&out, a, &Report{}); err == nil {
		t.Error("nothing in common, and no error")
	}
}

// Reports of before say 0 for what they did not measure.
func TestOldReport(t *testing.T) {
	r, err := Read(strings.NewReader(`{"schema":"wsd-bench/1","phases":[{"name":"a","server":{"cpu_share":0,"rss_bytes":0}},{"name":"b","server":{"rss_bytes":5}}]}`))
	if err != nil || r.Phases[0].Server != (Server{}) || number(r.Phases[1].Server.RSSBytes) != 5 {
		t.Errorf("%v, %+v", err, r)
	}
}

// A byte order mark in front of a report is skipped.
func TestByteOrderMark(t *testing.T) {
	if _, err := Read(strings.NewReader("\ufeff" + `{"schema":"` + Schema + `"}`)); err != nil {
		t.Error(err)
	}
}

// Each line of the percentiles has a colour of its own, as long as there are some.
func TestPercentileColors(t *testing.T) {
	var h Hist
	h.Record(time.Millisecond.Nanoseconds())
	var r Report
	for range chartColors {
		r.Phases = append(r.Phases, Phase{Name: "idle"}, Phase{Name: "load", Latency: &h})
	}
	seen := make(map[int]bool)
	for _, l := range r.percentiles().lines {
		seen[l.color] = true
	}
	if len(seen) != chartColors {
		t.Errorf("%d colours for %d phases with latencies", len(seen), chartColors)
	}
}
