package host

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestReportText(t *testing.T) {
	var b bytes.Buffer
	if err := NewReport(facts(t, "container"), Needs{Clients: 1_000_000, LoadGenerator: true}).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ITEM ", "nofile hard ", "524288 ", "1001024 ", "\nfail:\n", "\nwarn:\n", "\nunknown:\n",
		"memory for 1,000,000 clients:", "heartbeats: 33,333/s", "or listening ports to connect to: 19",
		"this host does not fit 1,000,000 clients: 3 fail, 3 warn, 4 unknown; as it is 523,264 fit (nofile hard)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	// The verdicts stand below each other.
	lines := strings.Split(b.String(), "\n")
	at := strings.Index(lines[0], "VERDICT")
	for _, line := range lines[1:] {
		if line == "" {
			break
		}
		if word, _, _ := strings.Cut(line[at:], " "); word != "ok" && word != "unknown" && word != "warn" && word != "fail" {
			t.Errorf("no verdict at column %d of %q", at, line)
		}
	}
}

func TestReportJSON(t *testing.T) {
	r := NewReport(facts(t, "conntrack-full"), Needs{Clients: 1000})
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version    int
		Clients    int
		Fits       bool
		MaxClients *int   `json:"max_clients"`
		LimitedBy  string `json:"limited_by"`
		Estimate   map[string]float64
		Items      []struct {
			Item, Now, Needed, Verdict, Why, Do string
			Set                                 *struct {
				Key, Path string
				Values    []int64
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Clients != 1000 || got.Fits || got.MaxClients == nil || got.LimitedBy == "" || got.Estimate["total"] == 0 || len(got.Items) != len(r.Items) {
		t.Errorf("%+v", got)
	}
	for _, it := range got.Items {
		if it.Item == "net.netfilter.nf_conntrack_max" {
			if it.Verdict != "fail" || it.Set == nil || it.Set.Values[0] != 263344 || it.Set.Path != "proc/sys/net/netfilter/nf_conntrack_max" {
				t.Errorf("%+v", it)
			}
		}
	}
}

func TestSummaryWhenAllFits(t *testing.T) {
	got := NewReport(facts(t, "vm-6.18"), Needs{Clients: 10_000}).Summary()
	if want := "this host fits 10,000 clients: 0 fail, 0 warn, 0 unknown"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestProblemsComeWorstFirst, and only problems.
func TestProblemsComeWorstFirst(t *testing.T) {
	items := []Item{{Name: "a", Verdict: Warn}, {Name: "b"}, {Name: "c", Verdict: Fail}, {Name: "d", Verdict: Unknown}, {Name: "e", Verdict: Warn}}
	var names string
	for _, it := range Problems(items) {
		names += it.Name
	}
	if names != "cae" {
		t.Errorf("order %q", names)
	}
}

func BenchmarkQuick(b *testing.B) {
	for b.Loop() {
		if _, err := Quick(Needs{Clients: 1_000_000}); err != nil {
			b.Fatal(err)
		}
	}
}
