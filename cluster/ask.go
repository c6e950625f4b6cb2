package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"wsd/server"
)

// question is one that is not in a hurry. What says which of the others fields count.
type question struct {
	ID     uint64    `json:"id"`
	What   string    `json:"what"`
	Client uuid.UUID `json:"client,omitzero"`
	Topic  string    `json:"topic,omitempty"`
	User   string    `json:"user,omitempty"`
	Users  []string  `json:"users,omitempty"`
	Token  string    `json:"token,omitempty"`
	Code   int       `json:"code,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Cursor string    `json:"cursor,omitempty"`
	Limit  int       `json:"limit,omitempty"`

	Revocation server.Revocation `json:"revocation,omitzero"`
}

// What can be asked. What closes clients waits for the publishes that came before it.
const (
	askPing       = "ping"
	askClient     = "client"
	askClients    = "clients"
	askClose      = "close"
	askCloseTopic = "close_topic"
	askTopic      = "topic"
	askUser       = "user"
	askCloseUser  = "close_user"
	askStats      = "stats"

	askRevoke      = "revoke"
	askUnrevoke    = "unrevoke"
	askRevocations = "revocations" // those behind one

	askUsers    = "users"    // how many clients each of some users has
	askOldest   = "oldest"   // of a user's clients, and how many there are
	askThin     = "thin"     // have a user's clients be no more than so many
	askDisplace = "displace" // close one for a newer one of its user
)

// reply is the answer to a question.
type reply struct {
	Life   uint64              `json:"life,string"`
	ID     uint64              `json:"id"`
	Error  string              `json:"error,omitempty"`
	Found  bool                `json:"found,omitempty"`
	Count  int                 `json:"count,omitempty"`
	Client *server.ClientInfo  `json:"client,omitempty"`
	List   []server.ClientInfo `json:"list,omitempty"`
	Next   string              `json:"next,omitempty"`
	Stats  json.RawMessage     `json:"stats,omitempty"`

	Revocations []server.Revocation `json:"revocations,omitempty"`

	Counts []int   `json:"counts,omitempty"`
	Oldest *oldest `json:"oldest,omitempty"`

	took time.Duration // there and back
	peer *peer         // who answered
}

// Bounds of questions.
const (
	askWithin   = 2 * time.Second // and asked again, the publisher may have an answer
	answersAt   = 64              // questions of others that are answered at once
	closeWithin = 10 * time.Second
)

// questions are those whose answers are awaited, by number.
type questions struct {
	mu     sync.Mutex
	number uint64
	of     map[uint64]chan *reply
	places chan struct{} // of those of others
}

func (q *questions) init() {
	q.of = map[uint64]chan *reply{}
	q.places = make(chan struct{}, answersAt)
}

func (q *questions) open(room int) (number uint64, answers chan *reply) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.number++
	answers = make(chan *reply, room)
	q.of[q.number] = answers
	return q.number, answers
}

func (q *questions) close(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.of, number)
}

// ask asks some peers at once, and names who did not answer. within bounds the wait.
func (n *Node) ask(ctx context.Context, to []*peer, q question, within time.Duration) (answers []*reply, o *outcome) {
	o = &outcome{n: n}
	number, come := n.questions.open(len(to))
	defer n.questions.close(number)
	q.ID = number
	body, err := json.Marshal(q)
	if err != nil {
		panic(err) // it is our own struct
	}
	body = append(head(kindAsk), body...)
	n.flush() // publishes that were before it
	began, waiting := time.Now(), map[uint64]*peer{}
	for _, p := range to {
		switch st := n.standing(p); {
		case !n.connected():
			o.miss(p, whyPartitioned)
		case st == dead:
			o.miss(p, whyGone)
		case st == suspect:
			o.miss(p, whyNoAnswer)
		case n.send(p.subject, body) != nil:
			o.miss(p, whyPartitioned)
		default:
			waiting[p.life] = p
		}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for len(waiting) > 0 && ctx.Err() == nil {
		select {
		case r := <-come:
			if r.peer = waiting[r.Life]; r.peer != nil {
				r.took = time.Since(began)
				delete(waiting, r.Life)
				answers = append(answers, r)
			}
		case <-ctx.Done():
		}
	}
	for _, p := range waiting {
		why := whyNoAnswer
		if n.standing(p) == moving {
			why = whyMoving
		}
		o.miss(p, why)
	}
	return answers, o
}

// told takes in an answer.
func (n *Node) told(body []byte) {
	r := new(reply)
	if json.Unmarshal(body, r) != nil {
		n.count.unknown.Add(1)
		return
	}
	n.questions.mu.Lock()
	come := n.questions.of[r.ID]
	n.questions.mu.Unlock()
	if come == nil {
		return // nobody waits any more
	}
	select {
	case come <- r:
	default: // more answers than were asked
	}
}

// asked is for a question of another node.
func (n *Node) asked(m *nats.Msg) {
	q := new(question)
	if json.Unmarshal(m.Data[2:], q) != nil {
		n.count.unknown.Add(1)
		return
	}
	switch q.What {
	case askClose, askCloseTopic, askCloseUser, askRevoke, askDisplace:
		if !n.inbox.put(arrival{from: m.Reply, data: m.Data, at: time.Now(), ask: q}) {
			n.count.dropped.Add(1) // who asks will see that there is no answer
		}
	default:
		n.reply(m.Reply, q)
	}
}

// reply answers on a goroutine of its own. Beyond so many at once there is no answer.
func (n *Node) reply(to string, q *question) {
	select {
	case n.questions.places <- struct{}{}:
	default:
		n.count.dropped.Add(1)
		return
	}
	go func() {
		defer func() { <-n.questions.places }()
		ctx, cancel := context.WithTimeout(n.alive(), closeWithin)
		defer cancel()
		r := n.find(ctx, q)
		r.Life, r.ID = n.life, q.ID
		body, err := json.Marshal(r)
		if err != nil {
			panic(err) // it is our own struct
		}
		if int64(len(body)) > n.link.most.Load()-1024 {
			return // it is not carried
		}
		_ = n.send(to, append(head(kindTold), body...)) // who asks sees that there is none
	}()
}

// find answers a question about this node.
func (n *Node) find(ctx context.Context, q *question) *reply {
	r := new(reply)
	var err error
	switch q.What {
	case askPing:
	case askClient:
		var in server.ClientInfo
		if in, r.Found = n.server.Client(ctx, q.Client); r.Found {
			r.Client = &in
		}
	case askClients:
		r.List, r.Next, err = n.server.Clients(ctx, q.Cursor, q.Limit)
	case askClose:
		r.Found = n.server.CloseClient(ctx, q.Client, q.Code, q.Reason)
	case askCloseTopic:
		r.Count, err = n.server.CloseTopic(ctx, q.Topic, q.Code, q.Reason)
	case askUser:
		r.List, err = n.server.UserClients(ctx, q.User, q.Limit)
	case askCloseUser:
		r.Count, err = n.server.CloseUser(ctx, q.User, q.Code, q.Reason)
	case askRevoke:
		r.Count, err = n.server.Revoke(ctx, q.Revocation)
	case askUnrevoke:
		r.Found = n.server.Unrevoke(q.User, q.Token)
	case askRevocations:
		r.Revocations = n.revocations(q.Revocation)
	case askUsers:
		r.Counts = n.userCounts(q.Users)
	case askOldest:
		r.Oldest, r.Count = n.oldestHere(ctx, q.User), n.server.UserCount(q.User)
	case askThin:
		n.thin(thinning{q.User, q.Limit, true})
	case askDisplace:
		r.Found = n.server.Displace(ctx, q.Client)
	case askTopic:
		r.Count, err = n.server.Subscribers(ctx, q.Topic)
	case askStats:
		r.Stats, err = json.Marshal(n.server.Stats())
	default:
		r.Error = "unknown question"
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// reach is what is said of the nodes in an answer about so many of them.
func (n *Node) reach(o *outcome, nodes int) server.Reach {
	n.missUnknown(o)
	return server.Reach{Complete: len(o.missing) == 0, Nodes: nodes, Missing: append([]server.Missing{}, o.missing...)}
}

// owners are the peers that a client of that id may be at.
func (n *Node) owners(id uuid.UUID) (list []*peer) {
	for _, p := range n.members.all() {
		if p.hasTag(server.TagOf(id)) {
			list = append(list, p)
		}
	}
	return list
}

// measure asks everybody for the time there and back.
func (n *Node) measure(ctx context.Context) {
	answers, _ := n.ask(ctx, n.members.all(), question{What: askPing}, askWithin)
	for _, r := range answers {
		n.heardFrom(r.peer)
		r.peer.noteRTT(r.took)
	}
}
