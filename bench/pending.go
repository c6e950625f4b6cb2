package bench

// pending is one request whose answer is awaited.
type pending struct {
	intended  int64 // when it was due
	sent      int64 // when it was handed to the kernel
	number    uint32
	next      uint32 // 1-based, 0 for none
	overtaken bool   // a later request of the same client was answered first
}

// pendings is the store of all outstanding requests of an engine. Nodes are
// reused; it grows when more are outstanding than ever before, and only then
// allocates.
type pendings struct {
	nodes []pending
	free  uint32
	count int // outstanding
}

// pendingAtMost bounds what one engine has outstanding, 128 MiB of nodes: a
// server that does not answer must not fill this side's memory.
const pendingAtMost = 4 << 20

func (p *pendings) push(c *client, intended, sent int64, number uint32) {
	p.count++
	i := p.free
	if i != 0 {
		p.free = p.nodes[i-1].next
	} else {
		p.nodes = append(p.nodes, pending{})
		i = uint32(len(p.nodes))
	}
	p.nodes[i-1] = pending{intended: intended, sent: sent, number: number}
	if c.head == 0 {
		c.head = i
	} else {
		p.nodes[c.tail-1].next = i
	}
	c.tail = i
}

// pop takes the oldest request of c; ok is false if none is outstanding.
func (p *pendings) pop(c *client) (n pending, ok bool) {
	i := c.head
	if i == 0 {
		return n, false
	}
	n = p.nodes[i-1]
	c.head = n.next
	p.release(i)
	return n, true
}

// take takes the request with the given number and marks the older ones as overtaken.
func (p *pendings) take(c *client, number uint32) (n pending, ok bool) {
	if c.head == 0 || p.past(c.tail, number) < 0 {
		return pending{}, false
	}
	if p.nodes[c.head-1].number == number {
		return p.pop(c)
	}
	last := uint32(0)
	for i := c.head; i != 0 && p.past(i, number) <= 0; last, i = i, p.nodes[i-1].next {
		if p.nodes[i-1].number != number {
			continue
		}
		n = p.nodes[i-1]
		p.nodes[last-1].next = n.next
		if c.tail == i {
			c.tail = last
		}
		for j := c.head; j != n.next; j = p.nodes[j-1].next {
			p.nodes[j-1].overtaken = true
		}
		p.release(i)
		return n, true
	}
	return pending{}, false
}

// past tells by how much node i is after the given number. Numbers of a client
// only grow (and may turn over), so that one which is not there is soon known
// not to be, however many are outstanding.
func (p *pendings) past(i, number uint32) int32 { return int32(p.nodes[i-1].number - number) }

// drop forgets all requests of c and returns how many there were.
func (p *pendings) drop(c *client) (n int) {
	for ; c.head != 0; n++ {
		p.pop(c)
	}
	return n
}

func (p *pendings) release(i uint32) {
	p.nodes[i-1].next = p.free
	p.free = i
	p.count--
}
