package bench

// buffers keeps what is half received or half sent, by small numbers that a
// client record can hold. 0 is no buffer. Idle clients have none.
//
// held is what all of them take, free ones included, whatever a server does:
// who wants to put more in asks full first.
type buffers struct {
	all  [][]byte // all[0] is never used
	free []uint32
	held int // bytes of capacity
	kept int // bytes of it that are free
	most int // bound of held; 0: none
}

// A buffer is kept for reuse up to keepAtMost, as long as the free ones are
// not above keepInAll.
const (
	keepAtMost = 64 << 10
	keepInAll  = 16 << 20
)

// full says that nothing more may be kept, but for what is under way already.
func (b *buffers) full() bool { return b.most > 0 && b.held-b.kept >= b.most }

// put stores a copy of p.
func (b *buffers) put(p []byte) uint32 {
	if len(b.free) == 0 {
		b.all = append(b.all, nil)
		if len(b.all) == 1 {
			b.all = append(b.all, nil)
		}
		b.free = append(b.free, uint32(len(b.all)-1))
	}
	i := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	b.kept -= cap(b.all[i])
	b.set(i, p)
	return i
}

func (b *buffers) get(i uint32) []byte { return b.all[i] }

// set makes p the content of buffer i; they may overlap.
func (b *buffers) set(i uint32, p []byte) {
	before := cap(b.all[i])
	b.all[i] = append(b.all[i][:0], p...)
	b.held += cap(b.all[i]) - before
}

// add appends p to buffer *i, which may be 0 still.
func (b *buffers) add(i *uint32, p []byte) {
	if *i == 0 {
		*i = b.put(p)
		return
	}
	before := cap(b.all[*i])
	b.all[*i] = append(b.all[*i], p...)
	b.held += cap(b.all[*i]) - before
}

// cut removes the first n bytes of buffer *i, and frees it if nothing is left.
func (b *buffers) cut(i *uint32, n int) {
	left := b.all[*i][n:]
	if len(left) == 0 {
		b.drop(i)
		return
	}
	b.set(*i, left)
}

// drop frees buffer *i and makes it 0.
func (b *buffers) drop(i *uint32) {
	if *i == 0 {
		return
	}
	size := cap(b.all[*i])
	if size > keepAtMost || b.kept+size > keepInAll {
		b.all[*i] = nil
		b.held -= size
	} else {
		b.kept += size
	}
	b.free = append(b.free, *i)
	*i = 0
}
