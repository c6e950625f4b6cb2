package topic

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// ownersOf are the owners of a topic as Owners says.
func ownersOf(o *Owners, name string) []int {
	var set OwnerSet
	o.AddTo(&set, name)
	list := slices.Collect(set.All)
	if len(list) != set.Len() {
		panic("Len and All differ")
	}
	return list
}

// TestOwners: after any subscriptions and their ends Owners says what the tables do.
func TestOwners(t *testing.T) {
	owners := NewOwners()
	numbers := []int{0, 1, 63, 64, 65, 511, MaxOwners - 1}
	tables := map[int]*Table{}
	for _, n := range numbers {
		tables[n] = &Table{Owners: owners, Owner: n}
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
			if got := ownersOf(owners, name); !slices.Equal(got, want) {
				t.Fatalf("step %d: topic %s has the owners %v, want %v", step, name, got, want)
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
	for i := range owners.shards {
		if s := &owners.shards[i]; s.of.used != 0 || len(s.vacant) != len(s.sets) {
			t.Errorf("shard %d keeps %d topics, and %d of %d sets", i, s.of.used, len(s.sets)-len(s.vacant), len(s.sets))
		}
	}
}

// TestOwnersAtOnce: tables change it side by side, and who asks finds whoever was there all the while.
func TestOwnersAtOnce(t *testing.T) {
	owners := NewOwners()
	stays := &Table{Owners: owners, Owner: 100}
	if err := stays.Subscribe(0, "t"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			table := &Table{Owners: owners, Owner: n}
			for i := range 2000 {
				_ = table.Subscribe(uint32(i%3), "t")
				if !slices.Contains(ownersOf(owners, "t"), n) {
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
		if !slices.Contains(ownersOf(owners, "t"), 100) {
			t.Fatal("who was there all the while is not found")
		}
	}
	all.Wait()
	if got := ownersOf(owners, "t"); !slices.Equal(got, []int{100}) {
		t.Errorf("%v", got)
	}
}

// TestIndex holds the index to a map, with so few places that names push each other on, and around the end.
func TestIndex(t *testing.T) {
	for seed := range uint64(20) {
		x, twin := index{seed: maphash.MakeSeed()}, map[string]uint32{}
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
