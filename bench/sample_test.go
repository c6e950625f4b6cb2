package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// A server's own metrics stand in for its processes.
func TestMetrics(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "# HELP process_cpu_seconds_total x\nprocess_cpu_seconds_total 12.5\nother{a=\"b\"} 3\nprocess_resident_memory_bytes 4.096e+06\n")
	}))
	defer h.Close()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s := sample(nil, []string{h.URL, h.URL}, &clk)
	if s.CPUSeconds != 25 || s.RSSBytes != 2*4.096e6 || s.Gone != 0 {
		t.Errorf("%+v", s)
	}
	h.Close()
	if s = sample(nil, []string{h.URL}, &clk); s.Gone != 1 {
		t.Errorf("a page that is not there: %+v", s)
	}
}

// A process is seen with its memory and time; one that is gone is said to be.
func TestProcesses(t *testing.T) {
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s := sample([]int{os.Getpid(), 1 << 30}, nil, &clk)
	if s.RSSBytes < 1<<20 || s.Gone != 1 || s.SlabBytes == 0 || s.BusySeconds == 0 || s.Switches == 0 {
		t.Errorf("%+v", s)
	}
	before := usageNow()
	if u := usageNow().since(before); u.rss < 1<<20 || u.cpu < 0 {
		t.Errorf("%+v", u)
	}
}

// The clock is the one that all processes of the host read.
func TestClock(t *testing.T) {
	a, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newClock()
	for range 100 {
		x := a.now()
		y := b.now()
		if z := a.now(); y < x-1e6 || y > z+1e6 {
			t.Fatalf("%d is not between %d and %d", y, x, z)
		}
	}
}
