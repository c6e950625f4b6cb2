package host

// Budget deals out the memory that a server may use, so that what its clients do
// never takes more than there is. In bytes.
type Budget struct {
	Memory  int64  // that there is: of the tightest control group, or three quarters of the machine's
	From    string // the file that it was read from
	Clients int    // that may be connected
	Sockets int64  // what those take, here and in the kernel, when they are idle
	Pending int64  // what they may make the server hold beside that (--pending-total)
	Heap    int64  // for the Go runtime (GOMEMLIMIT)
}

const (
	// runtimeBytes is for the program itself: code, stacks, scratch buffers and what
	// the collector needs. Little memory is cut: it cannot serve much then.
	runtimeBytes = 24 << 20
	// budgetUnit is what is dealt out.
	budgetUnit = 1 << 20
)

// NewBudget deals out what the facts tell. clients is how many are asked for, 0
// as many as descriptors allow, but they may take no more than a third. loops is as in Needs. What
// remains is cut in four: a quarter is Pending, as much is left to the collector
// until it has freed what clients have let go, and half is the kernel's, for what
// is on its way to and from them. The zero Budget says that nothing is known.
func NewBudget(f Facts, clients, loops int) Budget {
	b := Budget{Memory: f.Memory.Total - f.Memory.Total/4, From: "/proc/meminfo"}
	if c := f.Cgroup; c.Path != "" && c.Limit < f.Memory.Total {
		b.Memory, b.From = c.Limit, c.Path
	}
	if b.Memory <= 0 {
		return Budget{}
	}
	own := min(int64(runtimeBytes), b.Memory*3/8)
	n := Needs{}.withDefaults()
	each := int64(socketBytes + watchBytes + n.ClientBytes)
	if f.tracking() {
		each += trackBytes
	}
	rest := b.Memory - own
	if b.Clients = clients; clients == 0 {
		b.Clients = int(min(f.NoFile.Soft-Reserve(f.NoFile.Soft, loops), rest/3/each))
	}
	b.Sockets = int64(b.Clients) * each
	rest = max(rest-b.Sockets, rest/4) // who asks for more clients than there is room for is told elsewhere
	b.Pending = max(rest/4/budgetUnit, 1) * budgetUnit
	b.Heap = b.HeapFor(b.Pending)
	return b
}

// HeapFor is Heap for another Pending: within the memory that there is, if that is
// known.
func (b Budget) HeapFor(pending int64) int64 {
	own := min(int64(runtimeBytes), b.Memory*3/8)
	heap := own*3/4 + int64(b.Clients)*int64(Needs{}.withDefaults().ClientBytes) + 2*pending
	return max(min(heap, b.Memory-b.Memory/8)/budgetUnit, 1) * budgetUnit
}
