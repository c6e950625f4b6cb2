package server

import "sync/atomic"

// account is the memory that clients make the server hold, in bytes:
//
//   - unfinished messages and handshakes: the buffers that their bytes wait in
//   - what waits to be sent: answers, a large one whole until its last byte is
//     sent, and nodeCost for each message
//   - published frames, each once, from Publish until the last client has it
//   - requests that run, that wait for a worker's look at their token, or that a
//     handover puts off
//
// Over its limit, those who hold the most have to go: see shed. It is safe for
// concurrent use.
type account struct {
	held     atomic.Int64
	requests atomic.Int64 // part of held that is callCost and copies of requests
	limit    atomic.Int64 // in force: Config.PendingTotal, or less for the moment
}

func (a *account) charge(n int) { a.held.Add(int64(n)) }

// over says that somebody has to go.
func (a *account) over() bool { return a.held.Load() > a.limit.Load() }

// share is what publishes under way may take of the account, and requests as
// much: the other half is always there for what one can be closed for.
func (a *account) share() int64 { return a.limit.Load() / 4 }

// callCost is what a request under way counts beside its own bytes: the call and
// its context.
const callCost = 1 << 10

// chargeRequest counts a request of so many bytes in, if there is room in its
// share, where one may always be alone.
func (a *account) chargeRequest(n int) bool {
	if sum := a.requests.Add(int64(n)); sum > a.share() && sum > int64(n) {
		a.requests.Add(-int64(n))
		return false
	}
	a.charge(n)
	return true
}

func (a *account) freeRequest(n int) {
	a.requests.Add(-int64(n))
	a.charge(-n)
}

// holdNode counts what a node keeps in memory: itself, its bytes if they are an
// answer, and a published frame.
func (a *account) holdNode(nd *node) {
	if nd.from == nil {
		a.charge(nd.memory() + nodeCost)
		return
	}
	a.charge(nodeCost)
	a.holdFrame(nd.from)
}

// freeNode undoes holdNode.
func (a *account) freeNode(nd *node) {
	if nd.from == nil {
		a.charge(-nd.memory() - nodeCost)
		return
	}
	a.charge(-nodeCost)
	a.freeFrame(nd.from)
}

// holdFrame counts a published frame with the first who needs it: the publish
// itself, while it is under way, or a node of any loop.
func (a *account) holdFrame(d *delivery) {
	if d.held.Add(1) == 1 {
		a.charge(len(d.frame))
	}
}

// freeFrame undoes holdFrame: the frame leaves with the last.
func (a *account) freeFrame(d *delivery) {
	if d.held.Add(-1) == 0 {
		a.charge(-len(d.frame))
	}
}
