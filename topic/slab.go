package topic

// Lists of topics, one for each slot, without a pointer: a list is a chain of 8-byte nodes in one slab,
// and a slot's head is a 4-byte index. Both slabs grow by pages, so that growing copies nothing and
// leaves no more than a page unused, and the garbage collector has nothing to look into.

const pageSize = 1024

// node is one subscription, seen from its slot. Node 0 is never used: index 0 ends a chain.
type node struct {
	topic uint32 // index into Table.topics
	next  uint32 // index of the slot's next node, or of the next free one
}

type nodes struct {
	pages []*[pageSize]node
	used  uint32 // nodes ever used, node 0 included
	free  uint32 // head of the chain of nodes that can be used again
}

func (s *nodes) at(i uint32) *node { return &s.pages[i/pageSize][i%pageSize] }

// take returns the index of a node that nobody uses, filled.
func (s *nodes) take(n node) uint32 {
	i := s.free
	if i != 0 {
		s.free = s.at(i).next
	} else {
		i = max(s.used, 1)
		s.used = i + 1
		if int(i/pageSize) == len(s.pages) {
			s.pages = append(s.pages, new([pageSize]node))
		}
	}
	*s.at(i) = n
	return i
}

func (s *nodes) release(i uint32) {
	*s.at(i) = node{next: s.free}
	s.free = i
}

// heads holds the first node of each slot's chain. A page exists once a slot in it has subscribed.
type heads struct {
	pages []*[pageSize]uint32
}

func (h *heads) get(slot uint32) uint32 {
	if page := int(slot / pageSize); page < len(h.pages) && h.pages[page] != nil {
		return h.pages[page][slot%pageSize]
	}
	return 0
}

// ref returns where the head of slot is kept, and makes room for it.
func (h *heads) ref(slot uint32) *uint32 {
	page := int(slot / pageSize)
	for page >= len(h.pages) {
		h.pages = append(h.pages, nil)
	}
	if h.pages[page] == nil {
		h.pages[page] = new([pageSize]uint32)
	}
	return &h.pages[page][slot%pageSize]
}
