package upgrade

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Control is the socket where a server is asked for upgrades. A nil one is never
// asked.
type Control struct {
	listener net.Listener
	requests chan *Request
	once     sync.Once
	closing  chan struct{}
	ended    chan struct{} // closed when nobody waits for an answer any more
}

// Request is an upgrade that somebody has asked for. He waits for the answer.
type Request struct {
	report chan Report
}

// Answer says what became of the upgrade. It is called once. On a nil request,
// which nobody waits for, it does nothing.
func (r *Request) Answer(report Report) {
	if r != nil {
		r.report <- report
	}
}

// Listen opens the control socket of this process. The caller closes it.
func Listen() (*Control, error) {
	listener, err := net.Listen("unix", controlName(os.Getpid()))
	if err != nil {
		return nil, err
	}
	k := &Control{listener: listener, requests: make(chan *Request), closing: make(chan struct{}), ended: make(chan struct{})}
	go k.serve()
	return k, nil
}

// Requests is where requests come, one at a time: the next one comes when this one
// is answered. Nothing is closed there at the end.
func (k *Control) Requests() <-chan *Request {
	if k == nil {
		return nil
	}
	return k.requests
}

// Shut takes the socket's name away: this process is not asked any more. A
// request that has come may still be answered.
func (k *Control) Shut() {
	if k != nil {
		k.once.Do(func() { close(k.closing) })
		k.listener.Close()
	}
}

// Close shuts the socket and waits for the last answer to be given.
func (k *Control) Close() {
	if k.Shut(); k != nil {
		<-k.ended
	}
}

// serve takes requests until the listener is closed: whoever connects, and is
// root or the server's own user, has asked.
func (k *Control) serve() {
	defer close(k.ended)
	for {
		c, err := k.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // for want of descriptors
			continue
		}
		if uid, _, err := peerOf(c); err != nil || uid != 0 && uid != os.Geteuid() {
			c.Close()
			continue
		}
		k.one(c)
	}
}

// one has whoever receives from Requests do an upgrade, and answers with its report.
func (k *Control) one(c net.Conn) {
	defer c.Close()
	request := &Request{report: make(chan Report, 1)}
	select {
	case k.requests <- request:
	case <-k.closing:
		return
	}
	r := <-request.report
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_ = json.NewEncoder(c).Encode(r) // or nobody listens any more
}
