package server

// ident is what the server keeps of a client that it knows, beside its record and
// without pointers: 32 bytes. What several clients have in common, the user's name
// and what they may, is elsewhere once.
type ident struct {
	token      uint64 // hash of the token's id, 0: it has none
	user       uint32 // its name in loop.names, 0: nobody in particular
	next, prev uint32 // neighbours among the user's clients of this loop: slots plus one
	grants     uint32 // in loop.grants, 0: none; and identWarn, identWarned
	expires    uint32 // Unix seconds, 0: never
	issued     uint32 // Unix seconds, 0: it does not say
}

// Flags in ident.grants.
const (
	identWarn   = 1 << 31 // it wants to be told before its token expires
	identWarned = 1 << 30 // it has been
	identGrants = identWarned - 1
)

// idents is a slab parallel to that of the clients: index is the slot. A chunk is
// made for the first client in it that is known, so others pay nothing.
type idents struct{ chunks []*[chunkSize]ident }

// at returns the ident of a client that has one (flagKnown).
func (x *idents) at(slot uint32) *ident { return &x.chunks[slot>>chunkBits][slot%chunkSize] }

// make returns a new ident for a client that has none.
func (x *idents) make(slot uint32) *ident {
	i := int(slot >> chunkBits)
	for len(x.chunks) <= i {
		x.chunks = append(x.chunks, nil)
	}
	if x.chunks[i] == nil {
		x.chunks[i] = new([chunkSize]ident)
	}
	id := x.at(slot)
	*id = ident{}
	return id
}

// names keeps the names of a loop's users, each with a count of who needs it, in
// chunks that do not move and have no pointers. A name is found by its number: where
// it begins, in units of four bytes.
//
//	u24 count │ u8 length │ the name, filled up to four bytes
type names struct {
	chunks []*[nameChunk]byte
	next   uint32 // unit that has never been used
	free   [(MaxUser+3)/4 + 2]uint32
}

const (
	nameChunk  = 32 << 10
	nameUnit   = 4
	chunkUnits = nameChunk / nameUnit
	mostNeeds  = 1<<24 - 1
)

func (n *names) unit(number uint32) []byte {
	return n.chunks[number/chunkUnits][number%chunkUnits*nameUnit:]
}

func unitsOf(length int) uint32 { return uint32((length+nameUnit-1)/nameUnit) + 1 }

// add keeps a name of 1 to MaxUser bytes, for one who needs it.
func (n *names) add(name string) (number uint32) {
	units := unitsOf(len(name))
	if number = n.free[units]; number != 0 {
		n.free[units] = le.Uint32(n.unit(number)[nameUnit:])
	} else {
		if n.next == 0 {
			n.next = 1 // number 0 is none
		}
		if end := n.next%chunkUnits + units; len(n.chunks) == 0 || end > chunkUnits || n.next%chunkUnits == 0 {
			if len(n.chunks) > 0 {
				n.next = uint32(len(n.chunks)) * chunkUnits
			}
			n.chunks = append(n.chunks, new([nameChunk]byte))
		}
		number = n.next
		n.next += units
	}
	b := n.unit(number)
	le.PutUint32(b, 1<<8|uint32(len(name)))
	copy(b[nameUnit:], name)
	return number
}

// share has one more need a name. It reports false if they are too many: then it has
// to be added once more.
func (n *names) share(number uint32) bool {
	b := n.unit(number)
	if v := le.Uint32(b); v>>8 < mostNeeds {
		le.PutUint32(b, v+1<<8)
		return true
	}
	return false
}

// drop has one fewer need it.
func (n *names) drop(number uint32) {
	b := n.unit(number)
	v := le.Uint32(b) - 1<<8
	if le.PutUint32(b, v); v>>8 == 0 {
		units := unitsOf(int(v))
		le.PutUint32(b[nameUnit:], n.free[units])
		n.free[units] = number
	}
}

// of returns a name. It is good until the name is dropped.
func (n *names) of(number uint32) []byte {
	b := n.unit(number)
	return b[nameUnit : nameUnit+int(b[0])]
}

// grantsTable keeps what clients of a loop may, equal grants once. Number 0 is none.
type grantsTable struct {
	list   []sharedGrants
	number map[string]uint32
	free   []uint32
	buf    []byte
}

type sharedGrants struct {
	*grants
	key   string
	needs int
}

func (t *grantsTable) at(number uint32) *grants {
	if number &= identGrants; number != 0 {
		return t.list[number-1].grants
	}
	return &noGrants
}

var noGrants grants

// add returns the number of grants, for one more who has them.
func (t *grantsTable) add(g *grants) (number uint32) {
	if g.empty() {
		return 0
	}
	t.buf = g.append(t.buf[:0])
	if number = t.number[string(t.buf)]; number != 0 {
		t.list[number-1].needs++
		return number
	}
	entry := sharedGrants{g, string(t.buf), 1}
	if last := len(t.free) - 1; last >= 0 {
		number, t.free = t.free[last], t.free[:last]
		t.list[number-1] = entry
	} else {
		t.list = append(t.list, entry)
		number = uint32(len(t.list))
	}
	if t.number == nil {
		t.number = map[string]uint32{}
	}
	t.number[entry.key] = number
	return number
}

// drop undoes add.
func (t *grantsTable) drop(number uint32) {
	if number &= identGrants; number == 0 {
		return
	}
	e := &t.list[number-1]
	if e.needs--; e.needs > 0 {
		return
	}
	delete(t.number, e.key)
	*e = sharedGrants{}
	t.free = append(t.free, number)
}
