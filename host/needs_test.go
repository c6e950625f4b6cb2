package host

import (
	"math"
	"testing"
	"time"
)

func TestNeeds(t *testing.T) {
	for _, c := range []struct {
		n                                 Needs
		fds, sockets, queue, input, track int64
	}{
		{Needs{}, 64, 0, 1024, 1000, 0},
		{Needs{Clients: -5}, 64, 0, 1024, 1000, 0},
		{Needs{Clients: 19000}, 19612, 19000, 1024, 1000, 22800},
		{Needs{Clients: 19000, LoadGenerator: true}, 19612, 38000, 1024, 1000, 22800},
		{Needs{Clients: 100_000}, 101_024, 100_000, 1024, 4096, 120_000},
		{Needs{Clients: 1_000_000}, 1_001_024, 1_000_000, 16384, 16384, 1_200_000},
		{Needs{Clients: 10_000_000}, 10_001_024, 10_000_000, 16384, 16384, 12_000_000},
		{Needs{Clients: 1000, Loops: 5}, 1064, 1000, 1024, 1000, 1200},
		{Needs{Clients: 1000, Loops: 64}, 1356, 1000, 1024, 1000, 1200},
		{Needs{Clients: 1_000_000, Loops: 64}, 1_001_024, 1_000_000, 16384, 16384, 1_200_000},
		{Needs{Clients: 1000, ConnectRate: 1_000_000}, 1064, 1000, 65535, 1000, 1200},
		{Needs{Clients: math.MaxInt, Loops: math.MaxInt, ConnectRate: math.MaxInt, LoadGenerator: true},
			mostClients + 36 + 5*mostLoops, 2 * mostClients, 65535, 16384, mostClients + mostClients/5},
	} {
		n := c.n.withDefaults()
		got := [...]int64{n.descriptors(), n.sockets(), n.queue(), n.inputQueue(), n.tracked()}
		if want := [...]int64{c.fds, c.sockets, c.queue, c.input, c.track}; got != want {
			t.Errorf("%+v: descriptors, sockets, queue, input queue, tracked are %v, want %v", c.n, got, want)
		}
	}
}

// The descriptors asked for are enough, and one fewer is not.
func TestDescriptors(t *testing.T) {
	for _, loops := range []int{1, 5, 6, 64, 1024} {
		for clients := 1; clients < 100_000; clients++ {
			need := Needs{Clients: clients, Loops: loops}.descriptors()
			if room := need - Reserve(need, loops); room < int64(clients) {
				t.Fatalf("%d descriptors for %d clients of %d loops hold %d", need, clients, loops, room)
			}
			if less := need - 1; less-Reserve(less, loops) >= int64(clients) {
				t.Fatalf("%d descriptors hold %d clients of %d loops, too", less, clients, loops)
			}
		}
	}
}

func TestSourceAddresses(t *testing.T) {
	for _, c := range []struct{ clients, low, high, want int64 }{
		{0, 32768, 60999, 0},
		{28232, 32768, 60999, 1},
		{28233, 32768, 60999, 2},
		{1_000_000, 32768, 60999, 36},
		{1_000_000, portLow, portHigh, 19},
		{3, 7, 7, 3},
		{3, 8, 7, 3}, // a range that is none must not divide by zero
	} {
		if got := (Needs{Clients: int(c.clients)}).sources(c.low, c.high); got != c.want {
			t.Errorf("%d clients through ports %d to %d: %d addresses, want %d", c.clients, c.low, c.high, got, c.want)
		}
	}
}

func TestEstimate(t *testing.T) {
	quiet := Facts{PageSize: 4096}
	tracking := Facts{PageSize: 4096, Sysctl: map[string][]int64{"net.netfilter.nf_conntrack_count": {1}}}
	for _, c := range []struct {
		name string
		f    Facts
		n    Needs
		want Estimate
	}{
		{"nothing", quiet, Needs{}, Estimate{Server: 32 << 20, Total: 32 << 20}},
		{"a million", quiet, Needs{Clients: 1_000_000}, Estimate{
			Sockets: 4_400_000_000, Watches: 160_000_000, Server: 32<<20 + 400_000_000, Burst: 2_304_000_000, Total: 7_264_000_000 + 32<<20,
			BurstPages: 1_000_000, HeartbeatsPerSecond: 1e6 / 30, ConnectSeconds: 20,
		}},
		{"both ends, tracked, larger messages", tracking, Needs{Clients: 1000, LoadGenerator: true, MessageBytes: 4096, ConnectRate: 500, Heartbeat: 10 * time.Second, ClientBytes: 100}, Estimate{
			Sockets: 8_800_000, Watches: 320_000, Conntrack: 384_000, Server: 32<<20 + 100_000, Generator: 1_024_000, Burst: 5_376_000, Total: 16_004_000 + 32<<20,
			BurstPages: 2000, HeartbeatsPerSecond: 100, ConnectSeconds: 2, SourceAddresses: 1,
		}},
		{"large pages", Facts{PageSize: 65536}, Needs{Clients: 10, MessageBytes: 70000}, Estimate{
			Sockets: 44_000, Watches: 1600, Server: 32<<20 + 4000, Burst: 712_800, Total: 762_400 + 32<<20,
			BurstPages: 20, HeartbeatsPerSecond: 10. / 30, ConnectSeconds: 0.01,
		}},
	} {
		if got := NewEstimate(c.f, c.n); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestTextForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 8 << 30: "8.0 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

// However much is asked for, the arithmetic neither overflows nor goes on for ever.
func TestNeedsBeyondAllBounds(t *testing.T) {
	f, err := Read(record(t, "vm-6.18"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []Needs{
		{Clients: math.MaxInt, LoadGenerator: true, MessageBytes: math.MaxInt, ClientBytes: math.MaxInt, ConnectRate: math.MaxInt, Loops: math.MaxInt, Heartbeat: math.MaxInt64},
		{Clients: math.MaxInt}, {Clients: 1, ConnectRate: math.MaxInt}, {Clients: 1, MessageBytes: math.MaxInt}, {Clients: 1, Loops: math.MaxInt},
	} {
		r := NewReport(f, n)
		e := r.Estimate
		for _, v := range []int64{e.Sockets, e.Watches, e.Server, e.Burst, e.BurstPages, e.Generator, e.Total, e.Conntrack, e.SourceAddresses} {
			if v < 0 || v > e.Total && v != e.BurstPages && v != e.SourceAddresses {
				t.Errorf("%+v: %+v", n, e)
			}
		}
		if r.Fits && n.Clients > 1 {
			t.Errorf("%+v fits", n)
		}
		_ = Sysctl(f, n) + Systemd(f, n) + Container(f, n)
	}
}
