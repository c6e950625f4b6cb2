package server

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// describe is for messages of tests.
func describe(st Stats) string {
	return fmt.Sprintf("%+v accepted %d opened %d closed %v refused %v turned away %d rests %d pending %d dropped %v in %d out %d queue %+v",
		st.Clients, st.Accepted, st.Opened, st.Closed, st.Refused, st.TurnedAway, st.AcceptBackoffs, st.PendingBytes, st.Dropped, st.MessagesIn, st.MessagesOut, st.Queue)
}

// numbers calls f for every number in v, with its path.
func numbers(path string, v reflect.Value, f func(path string, v reflect.Value)) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // unexported ones, too
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			numbers(path+"."+v.Type().Field(i).Name, v.Field(i), f)
		}
	case reflect.Array, reflect.Slice:
		for i := range v.Len() {
			numbers(fmt.Sprintf("%s[%d]", path, i), v.Index(i), f)
		}
	default:
		f(path, v)
	}
}

// ofProcess says that a number is no total, but for one process to go by: which
// calls are timed.
func ofProcess(path string) bool { return strings.HasSuffix(path, ".calls") }

// TestCountersAdd: a counter that was forgotten in add would stay 0 in Stats.
func TestCountersAdd(t *testing.T) {
	actions := testMux().Actions()
	fresh := func() *counters { return &counters{actions: make([]actionCounters, len(actions))} }
	one, sum := fresh(), fresh()
	next := int64(0)
	numbers("counters", reflect.ValueOf(one).Elem(), func(_ string, v reflect.Value) {
		next++
		switch v.Kind() {
		case reflect.Uint64:
			v.SetUint(uint64(next))
		case reflect.Int64:
			v.SetInt(next)
		case reflect.Float64:
			v.SetFloat(float64(next))
		default:
			t.Fatalf("a counter of kind %v", v.Kind())
		}
	})
	sum.add(one, actions)
	sum.add(one, actions)
	want := map[string]any{}
	numbers("counters", reflect.ValueOf(one).Elem(), func(path string, v reflect.Value) {
		want[path] = fmt.Sprint(v.Convert(reflect.TypeFor[float64]()).Float() * 2)
	})
	numbers("counters", reflect.ValueOf(sum).Elem(), func(path string, v reflect.Value) {
		if got := fmt.Sprint(v.Convert(reflect.TypeFor[float64]()).Float()); got != want[path] && !ofProcess(path) {
			t.Errorf("%s is %s, want %s", path, got, want[path])
		}
	})
}

// TestStatsJSON: what is counted appears under its name.
func TestStatsJSON(t *testing.T) {
	s := start(t, Config{Mux: testMux()})
	p := s.dial()
	p.alive()
	p.ask(`{"actioncode":"own"}`, answer(100, "mine", "null", "own", ""))
	p.ask(`{"actioncode":"add_pooled","data":[1]}`, good("1", "add_pooled"))
	s.sent(All(), "x", 1)
	b, err := json.Marshal(s.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Clients                     struct{ Connected, Open, Max int }
		Accepted, Opened, Publishes int
		In                          int `json:"messages_in"`
		Out                         int `json:"messages_out"`
		Actions                     map[string]map[string]int
		Closed                      map[string]int
		Seconds                     map[string]Histogram `json:"action_seconds"`
		Publish                     Histogram            `json:"publish_seconds"`
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Clients.Connected != 1 || got.Clients.Open != 1 || got.Clients.Max < 1 || got.Accepted != 1 || got.Opened != 1 ||
		got.Publishes != 1 || got.In != 3 || got.Out != 4 || got.Actions["heart_beat"]["0"] != 1 || got.Actions["own"]["100"] != 1 ||
		got.Seconds["add_pooled"].Count != 1 || got.Publish.Count != 1 || len(got.Closed) != int(reasons)-1 {
		t.Errorf("%s", b)
	}
}

// TestStaleLoop: a loop that does not answer makes no total go back.
func TestStaleLoop(t *testing.T) {
	s := start(t, Config{Loops: 2})
	for range 4 { // some on each, most likely; it does not matter
		s.dial().ask(`{"actioncode":"subscribe","data":{"topics":["t"]}}`, good(`["t"]`, "subscribe"))
	}
	before := s.until("nobody is stale", func(st Stats) bool { return st.StaleLoops == 0 && st.MessagesIn == 4 })
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[0].post(func(*loop) { close(held); <-release })
	<-held
	statsTimeout = briefly
	st := s.Stats()
	statsTimeout = patience
	if st.StaleLoops != 1 || st.MessagesIn != 4 || st.Accepted != 4 || st.Opened != 4 || st.Clients.Open != 4 || st.Subscribed != 4 ||
		st.Turns < before.Turns || st.Actions["subscribe"][0] != 4 || st.BatchSize.Count < before.BatchSize.Count {
		t.Errorf("%d loops are stale: %s, %d turns after %d", st.StaleLoops, describe(st), st.Turns, before.Turns)
	}
	close(release)
	s.until("it answers again", func(st Stats) bool { return st.StaleLoops == 0 })
}

// TestHistogram: each value is in the bucket whose bounds are around it.
func TestHistogram(t *testing.T) {
	for _, v := range []int{0, 1, 2, 3, 4, 7, 8, 1000, 1 << 22, 1<<23 - 1, 1 << 23, 1 << 40} {
		var h hist
		h.number(v)
		out := h.export(1)
		for i, n := range out.Counts {
			low, high := -1.0, float64(v)
			if i > 0 {
				low = out.Bounds[i-1]
			}
			if i < len(out.Bounds) {
				high = out.Bounds[i]
			}
			if inside := low < float64(v) && float64(v) <= high; inside != (n == 1) {
				t.Errorf("%d: %d in the bucket of %v to %v", v, n, low, high)
			}
		}
		if out.Count != 1 || out.Sum != float64(v) {
			t.Errorf("%d: %+v", v, out)
		}
	}
	var h hist
	h.duration(1500 * time.Microsecond)
	if out := h.export(1e-6); out.Sum != 0.0015 || out.Counts[11] != 1 || out.Bounds[10] >= 0.0015 || out.Bounds[11] < 0.0015 {
		t.Errorf("%+v", out)
	}
}

// TestStatsBytes: monitoring reads what Stats says as JSON, and the next version
// of the program reads the names of the counters. Neither changes by the way.
func TestStatsBytes(t *testing.T) {
	s := newSite(t, Config{Listen: []string{"none"}, MaxClients: 1000, Workers: 7})
	defer s.stop()
	sum := counters{actions: make([]actionCounters, len(s.constants))}
	var names []string
	sum.visit(s.mux.Actions(), func(name string, _ uint64) uint64 {
		names = append(names, name)
		h := fnv.New32()
		h.Write([]byte(name))
		v := uint64(h.Sum32() % 1e6) // one of its own
		if strings.HasSuffix(name, ".sum") {
			return math.Float64bits(float64(v))
		}
		return v
	})
	for st := range sum.states {
		sum.states[st] = int64(10 + st)
	}
	st := s.describe(&sum)
	st.Uptime = 0
	got, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	s.golden("stats.json", strings.ReplaceAll(string(got), `,"`, ",\n\"")+"\n") // a line for each name
	slices.Sort(names)
	s.golden("counters.txt", strings.Join(names, "\n")+"\n")
}

// golden compares with a file of testdata.
func (s *site) golden(name, got string) {
	s.t.Helper()
	file := filepath.Join("testdata", name)
	want, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	if got != string(want) {
		s.t.Errorf("%s is other than it was:\n%s", file, got)
	}
}
