package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"wsd/bench/report"
)

// aReport is one of a short run in which a bit of everything happens.
func aReport(t *testing.T) *report.Report {
	t.Helper()
	s := start(t, &testServer{closeWith: func(n int) (ws.StatusCode, bool) { return 1008, n >= 2 }})
	closed := closedLoop(4)
	closed.Duration = Duration(3 * awhile) // all four are closed in it
	r, _ := load(t, s, Plan{Clients: 4, PIDs: []int{os.Getpid()}, Publish: []string{s.publisher()},
		Groups: []Group{{Behaviour: "half-frame", Count: 1}}},
		publishPhase(1), Phase{Kind: Open, Rate: 20, Duration: Duration(100 * time.Millisecond), Payload: "x"}, closed)
	r.Command = []string{"wsd", "bench", "--header=<script>"}
	return r
}

// What a real run finds out is in its report in every form.
func TestReport(t *testing.T) {
	t.Parallel()
	r := aReport(t)
	t.Run("file", func(t *testing.T) { reportFile(t, r) })
	t.Run("fields", func(t *testing.T) { reportFields(t, r) })
	r.Limits = append(r.Limits, "phase x: too slow")
	t.Run("page", func(t *testing.T) { reportPage(t, r) })
	t.Run("table", func(t *testing.T) { reportTable(t, r) })
}

// A report is the same after a trip through its file.
func reportFile(t *testing.T, r *report.Report) {
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := report.Read(bytes.NewReader(text))
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
	if _, err := report.Read(strings.NewReader(`{"schema":"wsd-bench/99"}`)); err == nil || !strings.Contains(err.Error(), "wsd-bench/99") {
		t.Errorf("another schema: %v", err)
	}
}

// What the driver of side-by-side rounds reads is there, zero or not.
func reportFields(t *testing.T, r *report.Report) {
	text, _ := json.Marshal(r)
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
func reportPage(t *testing.T, r *report.Report) {
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

func reportTable(t *testing.T, r *report.Report) {
	var b bytes.Buffer
	r.WriteTable(&b)
	for _, want := range []string{"handshakes", "deliveries", "to last", "uncorrected", "own lag", "server cpu",
		"closed with 1008: 4", "1 half-frame: 1 connected", "GENERATOR-LIMITED"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\ndoes not have %q", &b, want)
		}
	}
}

// How far a phase is goes by what it is for.
func TestPhaseDone(t *testing.T) {
	second := Duration(time.Second)
	for _, c := range []struct {
		ph   Phase
		want float64
	}{
		{Phase{Kind: Ramp, Duration: second}, .25}, {Phase{Kind: Storm}, .25}, // 10 of 40 clients
		{Phase{Kind: Publish, Count: 2, Duration: second}, .4}, // 8 of 2 times 10 deliveries
		{Phase{Kind: Open, Duration: second}, .5}, {Phase{Kind: Hold, Duration: second}, .5},
	} {
		if got := c.ph.done(500*time.Millisecond, 10, 40, 8); got != c.want {
			t.Errorf("%s: %v of it is over, not %v", c.ph.Kind, got, c.want)
		}
	}
	if got := (&Phase{Kind: Publish, Count: 2}).done(0, 0, 40, 0); got != 0 {
		t.Errorf("nobody to publish to: %v", got)
	}
}
