// Package topic keeps who is subscribed to what, for one owner.
//
// The owner gives each of its clients a slot, a small number. A topic has its slots in a compressed
// bitmap, which is what a publish needs: the union of several topics is cheap and has each slot once. A
// slot has its topics in a chain of nodes, so that the cost of a client that leaves is that of its
// topics. Together that is some 10 bytes for a subscription to a topic that many share, and some 100
// for a topic of one client's own; BenchmarkMemory measures both.
package topic

import (
	"errors"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// Why a subscription is refused.
var (
	ErrName             = errors.New("not a topic name")
	ErrTooManyForClient = errors.New("the client has as many topics as it may have")
	ErrTooManyTopics    = errors.New("there are as many topics as there may be")
)

// Table holds the subscriptions of one owner's clients. The zero value is empty, ready, and costs
// nothing. It is not safe for concurrent use.
//
// Slots should be small and dense, such as an index into a slab: the table keeps 4 bytes for every slot
// of each 512 of which one has ever subscribed, and 8 bytes for each 512 up to the largest slot. What
// it has grown to it keeps, for the clients that come next.
type Table struct {
	// Limits; 0 is no limit. They are for new subscriptions and may change at any time.
	MaxPerClient int // topics of one slot
	MaxTopics    int // topics in all

	// Opened and Closed, if set, are called with a topic that gets its first subscriber, and one that
	// loses its last. They are set before the first subscription, and must not call the table.
	Opened, Closed func(topic string)

	ids    map[string]uint32 // index into topics by name
	topics slab[entry]
	made   uint32       // topics ever used
	vacant []uint32     // those of them that have gone, to be used again
	heads  slab[uint32] // by slot, the first of its nodes
	nodes  nodes
	total  int
}

// entry is a topic. Only a vacant one has no subscribers.
type entry struct {
	name string
	set  set
}

// Subscribe adds topic to those of slot. It is no error if it is there already. Otherwise it may be
// ErrName, wrapped, or one of the ErrTooMany… errors, and nothing has changed.
func (t *Table) Subscribe(slot uint32, topic string) error {
	id, exists := t.ids[topic]
	if exists && t.topics.at(id).set.contains(slot) {
		return nil
	}
	if !exists {
		if err := ValidName(topic); err != nil {
			return err
		}
		if t.MaxTopics > 0 && len(t.ids) >= t.MaxTopics {
			return ErrTooManyTopics
		}
	}
	if t.MaxPerClient > 0 && t.Count(slot) >= t.MaxPerClient {
		return ErrTooManyForClient
	}
	if !exists {
		id = t.open(topic)
	}
	t.topics.at(id).set.add(slot)
	head := t.heads.make(slot)
	*head = t.nodes.take(node{topic: id, next: *head})
	t.total++
	return nil
}

// Unsubscribe takes topic from those of slot, if it is one of them.
func (t *Table) Unsubscribe(slot uint32, topic string) {
	id, ok := t.ids[topic]
	if !ok || !t.topics.at(id).set.contains(slot) {
		return
	}
	link := t.heads.at(slot)
	for t.nodes.at(*link).topic != id {
		link = &t.nodes.at(*link).next
	}
	gone := *link
	*link = t.nodes.at(gone).next
	t.drop(slot, gone)
}

// Leave takes all topics from slot, which may then belong to another client.
func (t *Table) Leave(slot uint32) {
	i := t.first(slot)
	if i == 0 {
		return
	}
	*t.heads.at(slot) = 0
	for i != 0 {
		next := t.nodes.at(i).next
		t.drop(slot, i)
		i = next
	}
}

// drop ends the subscription of node i, which is out of slot's chain already.
func (t *Table) drop(slot, i uint32) {
	id := t.nodes.at(i).topic
	t.nodes.release(i)
	t.total--
	set := &t.topics.at(id).set
	set.remove(slot)
	if set.empty() {
		t.close(id)
	}
}

// open makes a new topic, which is about to get its first subscriber.
func (t *Table) open(topic string) uint32 {
	// What the caller cut the name out of, a whole message perhaps, must not live as long as the topic.
	topic = strings.Clone(topic)
	id := t.made
	if last := len(t.vacant) - 1; last >= 0 {
		id, t.vacant = t.vacant[last], t.vacant[:last]
	} else {
		t.made++
	}
	t.topics.make(id).name = topic
	if t.ids == nil {
		t.ids = make(map[string]uint32)
	}
	t.ids[topic] = id
	if t.Opened != nil {
		t.Opened(topic)
	}
	return id
}

// close forgets a topic that has no subscribers left.
func (t *Table) close(id uint32) {
	topic := t.topics.at(id)
	delete(t.ids, topic.name)
	if t.Closed != nil {
		t.Closed(topic.name)
	}
	*topic = entry{}
	t.vacant = append(t.vacant, id)
}

// first returns the first node of slot's chain, or 0.
func (t *Table) first(slot uint32) uint32 {
	if !t.heads.made(slot) {
		return 0
	}
	return *t.heads.at(slot)
}

// Has says whether slot is subscribed to topic.
func (t *Table) Has(slot uint32, topic string) bool {
	id, ok := t.ids[topic]
	return ok && t.topics.at(id).set.contains(slot)
}

// Of returns the topics of slot, sorted. The slice is the caller's, and never nil.
func (t *Table) Of(slot uint32) []string {
	names := make([]string, 0, t.Count(slot))
	for i := t.first(slot); i != 0; i = t.nodes.at(i).next {
		names = append(names, t.topics.at(t.nodes.at(i).topic).name)
	}
	slices.Sort(names)
	return names
}

// Count returns the number of topics of slot, by walking over them.
func (t *Table) Count(slot uint32) int {
	n := 0
	for i := t.first(slot); i != 0; i = t.nodes.at(i).next {
		n++
	}
	return n
}

// Len returns the number of topics that have a subscriber.
func (t *Table) Len() int { return len(t.ids) }

// Subscriptions returns the number of pairs of a slot and a topic.
func (t *Table) Subscriptions() int { return t.total }

// Subscribers returns the slots that are subscribed to one of topics or to more, each once; nil if there
// are none. The bitmap is the caller's: what happens to the table later does not change it.
func (t *Table) Subscribers(topics ...string) *roaring.Bitmap {
	var union *roaring.Bitmap
	for _, topic := range topics {
		if id, ok := t.ids[topic]; ok {
			union = t.topics.at(id).set.addTo(union)
		}
	}
	return union
}
