package upgrade

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Control is the socket on which a server is asked for upgrades. A nil Control is
// never asked.
type Control struct {
	listener net.Listener
	requests chan *Request
	once     sync.Once
	closing  chan struct{}
	ended    chan struct{} // closed when serve has returned: the last answer is given
}

// Request is an upgrade that somebody has asked for, and waits for.
type Request struct {
	report chan Report
}

// Answer says what became of the upgrade. Call it once. On a nil Request, of an
// upgrade that nobody waits for, it does nothing.
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

// Requests returns the channel of requests. The next one comes when the last one
// is answered. The channel is never closed.
func (k *Control) Requests() <-chan *Request {
	if k == nil {
		return nil
	}
	return k.requests
}

// Shut closes the listening socket, and its name is free. A request that was
// received can still be answered, and any other ends without an answer.
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

// serve accepts until the listener is closed. To connect is to ask. Only root and
// the server's own user may.
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

// one passes one request on, and sends its report when it is answered.
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
