package bench

// buffers keeps what is half received or half sent, by small numbers that a
// client record can hold. 0 is no buffer. Idle clients have none.
type buffers struct {
	all  [][]byte // all[0] is never used
	free []uint32
}

// keepAtMost is the capacity up to which a buffer is kept for reuse.
const keepAtMost = 64 << 10

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
	b.all[i] = append(b.all[i][:0], p...)
	return i
}

func (b *buffers) get(i uint32) []byte { return b.all[i] }

// add appends p to buffer *i, which may be 0 still.
func (b *buffers) add(i *uint32, p []byte) {
	if *i == 0 {
		*i = b.put(p)
		return
	}
	b.all[*i] = append(b.all[*i], p...)
}

// cut removes the first n bytes of buffer *i, and frees it if nothing is left.
func (b *buffers) cut(i *uint32, n int) {
	left := b.all[*i][n:]
	if len(left) == 0 {
		b.drop(i)
		return
	}
	b.all[*i] = append(b.all[*i][:0], left...)
}

// drop frees buffer *i and makes it 0.
func (b *buffers) drop(i *uint32) {
	if *i == 0 {
		return
	}
	if cap(b.all[*i]) > keepAtMost {
		b.all[*i] = nil
	}
	b.free = append(b.free, *i)
	*i = 0
}
