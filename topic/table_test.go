package topic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// twin is a table as one would write it without thinking of bytes.
type twin struct {
	limits Table
	topics map[uint32]map[string]bool
}

func newTwin(limits Table) *twin {
	return &twin{limits: limits, topics: map[uint32]map[string]bool{}}
}

func (w *twin) subscribe(slot uint32, topic string) error {
	reached := func(n, limit int) bool { return limit > 0 && n >= limit }
	switch {
	case w.topics[slot][topic]:
		return nil
	case w.subscribers(topic) == nil && ValidName(topic) != nil:
		return ErrName
	case w.subscribers(topic) == nil && reached(w.len(), w.limits.MaxTopics):
		return ErrTooManyTopics
	case reached(len(w.topics[slot]), w.limits.MaxPerClient):
		return ErrTooManyForClient
	}
	if w.topics[slot] == nil {
		w.topics[slot] = map[string]bool{}
	}
	w.topics[slot][topic] = true
	return nil
}

func (w *twin) of(slot uint32) []string { return slices.Sorted(maps.Keys(w.topics[slot])) }

func (w *twin) len() int {
	all := map[string]bool{}
	for _, topics := range w.topics {
		maps.Copy(all, topics)
	}
	return len(all)
}

func (w *twin) total() (n int) {
	for _, topics := range w.topics {
		n += len(topics)
	}
	return n
}

func (w *twin) subscribers(topics ...string) (slots []uint32) {
	for slot, has := range w.topics {
		if slices.ContainsFunc(topics, func(topic string) bool { return has[topic] }) {
			slots = append(slots, slot)
		}
	}
	slices.Sort(slots)
	return slots
}

func slotsOf(set *roaring.Bitmap) []uint32 {
	if set == nil {
		return nil
	}
	return set.ToArray()
}

// step is one operation on a table and its twin, both of which have to say the same.
func step(t *testing.T, table *Table, w *twin, op byte, slot uint32, topic string) {
	t.Helper()
	switch op % 4 {
	case 0, 1:
		got, want := table.Subscribe(slot, topic), w.subscribe(slot, topic)
		if !errors.Is(got, want) {
			t.Fatalf("Subscribe(%d, %q) = %v, want %v", slot, topic, got, want)
		}
	case 2:
		table.Unsubscribe(slot, topic)
		delete(w.topics[slot], topic)
	case 3:
		table.Leave(slot)
		delete(w.topics, slot)
	}
	if table.Len() != w.len() || table.Subscriptions() != w.total() || table.Count(slot) != len(w.topics[slot]) || table.Has(slot, topic) != w.topics[slot][topic] {
		t.Fatalf("%d topics, %d subscriptions, %d of slot %d, want %d, %d, %d", table.Len(), table.Subscriptions(), table.Count(slot), slot, w.len(), w.total(), len(w.topics[slot]))
	}
	if got, want := table.Of(slot), w.of(slot); !slices.Equal(got, want) {
		t.Fatalf("topics of slot %d: %q, want %q", slot, got, want)
	}
	if got, want := slotsOf(table.Subscribers(topic)), w.subscribers(topic); !slices.Equal(got, want) {
		t.Fatalf("subscribers of %q: %v, want %v", topic, got, want)
	}
}

var someSlots = []uint32{0, 1, 2, 3, 1023, 1024, 1025, 65535, 65536, 3_000_000}

func TestAgainstTwin(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		table := &Table{}
		if seed%2 == 1 {
			table = &Table{MaxPerClient: r.IntN(4), MaxTopics: r.IntN(6)}
		}
		w := newTwin(*table)
		names := []string{"a", "b", "c", "room.1", "room.2", "é", "", "\n", strings.Repeat("x", 128), strings.Repeat("x", 129)}
		for range 500 {
			step(t, table, w, byte(r.IntN(4)), someSlots[r.IntN(len(someSlots))], names[r.IntN(len(names))])
			some := names[r.IntN(4):][:r.IntN(4)]
			if got, want := slotsOf(table.Subscribers(some...)), w.subscribers(some...); !slices.Equal(got, want) {
				t.Fatalf("subscribers of %q: %v, want %v", some, got, want)
			}
		}
		for _, slot := range someSlots {
			table.Leave(slot)
		}
		empty(t, table)
	}
}

// empty checks that nobody is left, and that what is left can be used again.
func empty(t *testing.T, table *Table) {
	t.Helper()
	if table.Len() != 0 || table.Subscriptions() != 0 || len(table.vacant) != int(table.made) {
		t.Fatalf("%d topics, %d subscriptions, %d of %d entries vacant", table.Len(), table.Subscriptions(), len(table.vacant), table.made)
	}
	free := 0
	for i := table.nodes.free; i != 0; i = table.nodes.at(i).next {
		free++
	}
	if want := int(table.nodes.last); free != want {
		t.Fatalf("%d of %d nodes are free", free, want)
	}
}

func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 2, 0, 0, 3, 1, 0}, uint8(0), uint8(0))
	f.Add([]byte{0, 1, 2, 0, 1, 3, 0, 1, 4, 2, 1, 3, 0, 5, 3, 3, 1, 0}, uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, ops []byte, perClient, topics uint8) {
		table := &Table{MaxPerClient: int(perClient), MaxTopics: int(topics)}
		w := newTwin(*table)
		for ; len(ops) >= 3; ops = ops[3:] {
			name := strings.Repeat("t", int(ops[2]%16))
			step(t, table, w, ops[0], someSlots[int(ops[1])%len(someSlots)], name)
		}
		for _, slot := range someSlots {
			table.Leave(slot)
		}
		empty(t, table)
	})
}

func TestLimitsLeaveNothingBehind(t *testing.T) {
	table := &Table{MaxTopics: 1}
	if err := table.Subscribe(1, "a"); err != nil {
		t.Fatal(err)
	}
	if err := table.Subscribe(2, "b"); err != ErrTooManyTopics || table.Len() != 1 {
		t.Errorf("%v, %d topics", err, table.Len())
	}
	if err := table.Subscribe(1, "a"); err != nil {
		t.Errorf("what is there already meets the limit: %v", err)
	}
	table.MaxTopics = 0
	if err := table.Subscribe(2, "b"); err != nil {
		t.Errorf("with the limit lifted: %v", err)
	}
}

func TestSubscribersAreASnapshot(t *testing.T) {
	var table Table
	for slot := range uint32(10_000) {
		_ = table.Subscribe(slot, "even and odd"[:4+8*int(slot%2)])
	}
	both := table.Subscribers("even", "even and odd", "nobody", "even")
	if both.GetCardinality() != 10_000 {
		t.Errorf("%d slots, want 10000", both.GetCardinality())
	}
	even := table.Subscribers("even")
	for slot := range uint32(10_000) {
		table.Leave(slot)
	}
	if even.GetCardinality() != 5000 || both.GetCardinality() != 10_000 {
		t.Error("clients that left are gone from an older snapshot")
	}
	_ = table.Subscribe(7, "even")
	even.Clear()
	if !table.Has(7, "even") {
		t.Error("the caller's bitmap is the table's")
	}
}

func TestEmptyTable(t *testing.T) {
	var table Table
	table.Unsubscribe(math.MaxUint32, "a")
	table.Leave(math.MaxUint32)
	if table.Subscribers("a") != nil || table.Subscribers() != nil || table.Count(math.MaxUint32) != 0 || table.Has(0, "a") {
		t.Error("an empty table knows somebody")
	}
	if of := table.Of(math.MaxUint32); of == nil || len(of) != 0 {
		t.Errorf("%#v, want a slice without elements", of)
	}
	if table.heads != nil || table.nodes.slab != nil || table.topics != nil || table.ids != nil {
		t.Error("asking made an empty table grow")
	}
}

// A thousand generations of clients must not make the table grow beyond the first.
func TestGenerationsReuse(t *testing.T) {
	var table Table
	for generation := range 1000 {
		for slot := range uint32(50) {
			for i := range 3 {
				_ = table.Subscribe(slot, fmt.Sprintf("%d of %d", (int(slot)+i)%40, generation))
			}
		}
		for slot := range uint32(50) {
			table.Leave(slot)
		}
	}
	empty(t, &table)
	if table.made != 40 || table.nodes.last != 150 {
		t.Errorf("%d entries and %d nodes were made, want 40 and 150", table.made, table.nodes.last)
	}
}

func TestSlabGrowsByPages(t *testing.T) {
	var table Table
	for slot := range uint32(5 * pageSize) {
		_ = table.Subscribe(slot, "a")
	}
	if got := len(table.nodes.slab); got != 6 { // node 0 is never used
		t.Errorf("%d pages, want 6", got)
	}
	if got := slotsOf(table.Subscribers("a")); !slices.IsSortedFunc(got, cmp.Compare[uint32]) || len(got) != 5*pageSize {
		t.Errorf("%d subscribers", len(got))
	}
}
