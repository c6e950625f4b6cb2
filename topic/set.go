package topic

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// set is the subscribers of one topic. Topics of one or two clients, such as one for each user, are
// often most of all topics, and a bitmap of one slot takes some 180 bytes: so a set begins as a short
// list in place, and moves to a bitmap, for the rest of its life, when the list is full.
type set struct {
	many *roaring.Bitmap
	few  [3]uint32
	n    uint32 // in few, while many is nil
}

func (s *set) list() []uint32 { return s.few[:s.n] }

func (s *set) contains(slot uint32) bool {
	if s.many != nil {
		return s.many.Contains(slot)
	}
	return slices.Contains(s.list(), slot)
}

// add adds a slot that is not in the set.
func (s *set) add(slot uint32) {
	if s.many == nil && int(s.n) == len(s.few) {
		s.many = roaring.BitmapOf(s.few[:]...)
	}
	if s.many != nil {
		s.many.Add(slot)
		return
	}
	s.few[s.n] = slot
	s.n++
}

// remove takes out a slot that is in the set.
func (s *set) remove(slot uint32) {
	if s.many != nil {
		s.many.Remove(slot)
		return
	}
	s.n--
	s.few[slices.Index(s.few[:], slot)] = s.few[s.n]
}

func (s *set) empty() bool {
	return s.n == 0 && s.many == nil || s.many != nil && s.many.IsEmpty()
}

// addTo adds the set to union, which is the caller's own and may be nil, and returns it.
func (s *set) addTo(union *roaring.Bitmap) *roaring.Bitmap {
	switch {
	case s.many == nil && union == nil:
		return roaring.BitmapOf(s.list()...)
	case s.many == nil:
		union.AddMany(s.list())
	case union == nil:
		return s.many.Clone()
	default:
		union.Or(s.many)
	}
	return union
}
