package server

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"wsd/topic"
)

// loopsOf are the loops that have a topic.
func loopsOf(o *topicLoops, name string) []int {
	var set loopSet
	o.addTo(&set, name)
	list := slices.Collect(set.all)
	if len(list) != set.len() {
		panic("len and all differ")
	}
	return list
}

// tableOf is a loop's table.
func tableOf(known *topicLoops, number int) *topic.Table {
	t := new(topic.Table)
	known.watch(t, number)
	return t
}

// TestTopicLoops: after any subscriptions and their ends it says what the tables do.
func TestTopicLoops(t *testing.T) {
	known := newTopicLoops()
	numbers := []int{0, 1, 63, 64, 65, 511, mostLoops - 1}
	tables := map[int]*topic.Table{}
	for _, n := range numbers {
		tables[n] = tableOf(known, n)
	}
	const topics = 20
	check := func(step int) {
		t.Helper()
		for name := range topics {
			name := fmt.Sprint(name)
			var want []int
			for _, n := range numbers {
				if tables[n].Subscribers(name) != nil {
					want = append(want, n)
				}
			}
			if got := loopsOf(known, name); !slices.Equal(got, want) {
				t.Fatalf("step %d: topic %s has the loops %v, want %v", step, name, got, want)
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 1500 {
		table, slot, name := tables[numbers[r.IntN(len(numbers))]], uint32(r.IntN(5)), fmt.Sprint(r.IntN(topics))
		switch r.IntN(5) {
		case 0, 1:
			if err := table.Subscribe(slot, name); err != nil {
				t.Fatal(err)
			}
		case 2, 3:
			table.Unsubscribe(slot, name)
		case 4:
			table.Leave(slot)
		}
		check(step)
	}
	for _, table := range tables {
		for slot := range uint32(5) {
			table.Leave(slot)
		}
	}
	check(-1)
	for i := range known.shards {
		if s := &known.shards[i]; s.of.used != 0 || len(s.vacant) != len(s.sets) {
			t.Errorf("shard %d keeps %d topics, and %d of %d sets", i, s.of.used, len(s.sets)-len(s.vacant), len(s.sets))
		}
	}
}

// TestTopicLoopsAtOnce: tables change it side by side, and who asks finds whoever was there all the while.
func TestTopicLoopsAtOnce(t *testing.T) {
	known := newTopicLoops()
	stays := tableOf(known, 100)
	if err := stays.Subscribe(0, "t"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			table := tableOf(known, n)
			for i := range 2000 {
				_ = table.Subscribe(uint32(i%3), "t")
				if !slices.Contains(loopsOf(known, "t"), n) {
					t.Error("who has subscribed is not found")
					return
				}
				for slot := range uint32(3) {
					table.Leave(slot)
				}
			}
		})
	}
	for range 2000 {
		if !slices.Contains(loopsOf(known, "t"), 100) {
			t.Fatal("who was there all the while is not found")
		}
	}
	all.Wait()
	if got := loopsOf(known, "t"); !slices.Equal(got, []int{100}) {
		t.Errorf("%v", got)
	}
}

// TestNameIndex holds it to a map, with so few places that names push each other on, and around the end.
func TestNameIndex(t *testing.T) {
	for seed := range uint64(20) {
		x, twin := nameIndex{seed: maphash.MakeSeed()}, map[string]uint32{}
		r := rand.New(rand.NewPCG(seed, 3))
		for step := range 3000 {
			name := fmt.Sprint(r.IntN(60))
			if r.IntN(2) == 0 {
				x.remove(name)
				delete(twin, name)
			} else {
				x.set(name, uint32(step))
				twin[name] = uint32(step)
			}
			for i := range 60 {
				name := fmt.Sprint(i)
				got, ok := x.get(name)
				if want, exists := twin[name]; got != want && exists || ok != exists {
					t.Fatalf("step %d: %s is %d, %v, want %d, %v", step, name, got, ok, want, exists)
				}
			}
			if x.used != len(twin) {
				t.Fatalf("step %d: %d names, want %d", step, x.used, len(twin))
			}
		}
	}
}
