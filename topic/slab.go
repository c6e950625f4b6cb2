package topic

// Lists of topics, one for each slot, without pointers: a list is a chain of 8-byte nodes in one slab,
// and its head a 4-byte index in another. Slabs grow by pages, so that growing copies nothing and leaves
// no more than a page unused, and the garbage collector finds nothing in them to follow.

const pageSize = 512

// slab is a growing array of T. A page exists once an element in it has been made.
type slab[T any] []*[pageSize]T

// at returns element i, which must have been made.
func (s slab[T]) at(i uint32) *T { return &s[i/pageSize][i%pageSize] }

// made says whether the page of element i exists.
func (s slab[T]) made(i uint32) bool {
	page := int(i / pageSize)
	return page < len(s) && s[page] != nil
}

// make returns element i, which is zero if it is new.
func (s *slab[T]) make(i uint32) *T {
	if !s.made(i) {
		page := int(i / pageSize)
		for page >= len(*s) {
			*s = append(*s, nil)
		}
		(*s)[page] = new([pageSize]T)
	}
	return s.at(i)
}

// node is one subscription, seen from its slot. Node 0 is never used: index 0 ends a chain.
type node struct {
	topic uint32 // index into Table.topics
	next  uint32 // index of the slot's next node, or of the next free one
}

type nodes struct {
	slab[node]
	last uint32 // of the nodes ever used
	free uint32 // head of the chain of nodes that can be used again
}

// take returns the index of a node that nobody uses, filled.
func (s *nodes) take(n node) uint32 {
	i := s.free
	if i != 0 {
		s.free = s.at(i).next
	} else {
		s.last++
		i = s.last
	}
	*s.make(i) = n
	return i
}

func (s *nodes) release(i uint32) {
	*s.at(i) = node{next: s.free}
	s.free = i
}
