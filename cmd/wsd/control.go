package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// control is the socket where a server is asked for upgrades. A nil one is never
// asked.
type control struct {
	listener net.Listener
	requests chan *upgradeRequest
	once     sync.Once
	closing  chan struct{}
	ended    chan struct{} // closed when nobody waits for an answer any more
}

// upgradeRequest is one that somebody waits for.
type upgradeRequest struct {
	report chan upgradeReport
}

// answer says what became of the upgrade. It is called once. On a nil request,
// which nobody waits for, it does nothing.
func (r *upgradeRequest) answer(report upgradeReport) {
	if r != nil {
		r.report <- report
	}
}

// listenForUpgrades opens the control socket of this process. The caller closes
// it.
func listenForUpgrades() (*control, error) {
	listener, err := net.Listen("unix", controlName(os.Getpid()))
	if err != nil {
		return nil, err
	}
	k := &control{listener: listener, requests: make(chan *upgradeRequest), closing: make(chan struct{}), ended: make(chan struct{})}
	go k.serve()
	return k, nil
}

// asked is where requests come, one at a time: the next one comes when this one
// is answered. Nothing is closed there at the end.
func (k *control) asked() <-chan *upgradeRequest {
	if k == nil {
		return nil
	}
	return k.requests
}

// shut takes the socket's name away: this process is not asked any more. A
// request that has come may still be answered.
func (k *control) shut() {
	if k != nil {
		k.once.Do(func() { close(k.closing) })
		k.listener.Close()
	}
}

// close shuts the socket and waits for the last answer to be given.
func (k *control) close() {
	if k.shut(); k != nil {
		<-k.ended
	}
}

// serve takes requests until the listener is closed: whoever connects, and is
// root or the server's own user, has asked.
func (k *control) serve() {
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

// one has whoever receives from asked do an upgrade, and answers with its report.
func (k *control) one(c net.Conn) {
	defer c.Close()
	request := &upgradeRequest{report: make(chan upgradeReport, 1)}
	select {
	case k.requests <- request:
	case <-k.closing:
		return
	}
	r := <-request.report
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_ = json.NewEncoder(c).Encode(r) // or nobody listens any more
}
