package host

import "testing"

// NewBudget never deals out more than there is, and leaves clients as much as is
// said, on machines of any size.
func TestBudget(t *testing.T) {
	for _, limit := range []int64{16 << 20, 64 << 20, 256 << 20, 1 << 30, 1 << 40} {
		for _, clients := range []int{0, 100, 50_000, 1_000_000, mostClients} {
			f := Facts{NoFile: Limit{Soft: 20_000, Hard: 20_000}, Memory: Memory{Total: 1 << 42},
				Cgroup: Cgroup{Path: "/sys/fs/cgroup/memory.max", Limit: limit}}
			b := NewBudget(f, clients, 2)
			if b.Memory != limit || b.From != f.Cgroup.Path {
				t.Fatalf("%+v", b)
			}
			if b.Pending < budgetUnit || b.Pending > limit/4 || b.Heap < 2*b.Pending || b.Heap > limit {
				t.Errorf("%d bytes, %d clients: %+v", limit, clients, b)
			}
			fits := b.Sockets < limit/2
			if kernel := limit - b.Heap - b.Sockets; fits && kernel < limit/8 {
				t.Errorf("%d bytes, %d clients: %d are left to the kernel's buffers: %+v", limit, clients, kernel, b)
			}
			if clients == 0 && (b.Clients < 1 || b.Clients > 20_000 || b.Sockets > limit/3) || clients != 0 && b.Clients != clients {
				t.Errorf("%d bytes, %d clients: %+v", limit, clients, b)
			}
		}
	}
	none := Facts{Memory: Memory{Total: 8 << 30}, NoFile: Limit{Soft: 1 << 20}}
	if b := NewBudget(none, 0, 1); b.Memory != 6<<30 || b.From != "/proc/meminfo" {
		t.Errorf("without a group: %+v", b)
	}
	if b := NewBudget(Facts{}, 100, 1); b != (Budget{}) {
		t.Errorf("of nothing: %+v", b)
	}
}

// A smaller Pending leaves a smaller heap, and none is beyond the memory.
func TestHeapFor(t *testing.T) {
	b := NewBudget(Facts{Memory: Memory{Total: 1 << 30}, NoFile: Limit{Soft: 1000}}, 0, 1)
	if got := b.HeapFor(b.Pending); got != b.Heap {
		t.Errorf("%d, want %d", got, b.Heap)
	}
	if b.HeapFor(1<<20) >= b.Heap || b.HeapFor(1<<60) > b.Memory {
		t.Errorf("%d and %d of %+v", b.HeapFor(1<<20), b.HeapFor(1<<60), b)
	}
}
