package fleet

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	after := "S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1 0"
	for _, name := range []string{"(wsd)", "(a b)", "(a) S 1 (b)"} {
		got, err := parseStat([]byte("42 " + name + " " + after))
		if want := 1540 * time.Millisecond; err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "42 (wsd) S 1 2", strings.Replace("42 (wsd) "+after, "34", "x", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseHost(t *testing.T) {
	got, err := parseHost([]byte("cpu  1 2 3 1000 1000 4 5 6 1000 1000\ncpu0 1 1\n"))
	if want := 210 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := parseHost([]byte("intr 1 2 3 4 5 6 7 8 9\n")); err == nil {
		t.Error("a line that is not of times: no error")
	}
}

// What the kernel says of this process must move the way the process does.
func TestUsageOf(t *testing.T) {
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = byte(i)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		after, err := UsageOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU > before.CPU && after.RSS-before.RSS >= int64(len(block))*9/10 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("from %+v to %+v after touching %d bytes", before, after, len(block))
		}
	}
	if block[1] != 1 {
		t.Fatal("the block went")
	}
}

func TestNoSuchProcess(t *testing.T) {
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("usage of a process that cannot exist: no error")
	}
}
