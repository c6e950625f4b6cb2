package netpoll

import (
	"errors"
	"reflect"

	easygo "github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"
)

// Watcher watches pollers, not sockets: an epoll descriptor is itself readable
// while one of its sockets is ready. So its goroutine, map and lock are paid
// once per hand-over of a loop and never per client.
type Watcher struct {
	epoll *easygo.Epoll
}

const once = easygo.EPOLLIN | easygo.EPOLLONESHOT

// NewWatcher starts the watcher's goroutine. onError hears of a wait that
// failed, after which the watcher is dead.
func NewWatcher(onError func(error)) (*Watcher, error) {
	e, err := easygo.EpollCreate(&easygo.EpollConfig{OnWaitError: onError})
	if err != nil {
		return nil, err
	}
	if err := closeOnExec(e); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return &Watcher{epoll: e}, nil
}

// closeOnExec keeps the two descriptors of an easygo.Epoll from the programs that
// this one starts, which easygo does not: with each live upgrade the new process
// would have two more. easygo does not tell its descriptors, but its version is
// pinned.
func closeOnExec(e *easygo.Epoll) error {
	for _, name := range []string{"fd", "eventFd"} {
		fd := reflect.ValueOf(e).Elem().FieldByName(name)
		if !fd.IsValid() || !fd.CanInt() {
			return errors.New("netpoll: easygo's Epoll has no descriptor " + name)
		}
		unix.CloseOnExec(int(fd.Int()))
	}
	return nil
}

// Watch calls ready, on the watcher's goroutine, when p has something to do:
// once, until Rearm. ready must not block.
func (w *Watcher) Watch(p *Poller, ready func()) error {
	return w.epoll.Add(p.epfd, once, func(ev easygo.EpollEvent) {
		if ev&easygo.EPOLLIN != 0 {
			ready()
		}
	})
}

// Rearm asks for the next call of ready. If p has something to do already, the
// call comes at once: between looking and rearming nothing is lost.
func (w *Watcher) Rearm(p *Poller) error { return w.epoll.Mod(p.epfd, once) }

// Forget ends Watch for p.
func (w *Watcher) Forget(p *Poller) error { return w.epoll.Del(p.epfd) }

// Close ends the watcher's goroutine.
func (w *Watcher) Close() error { return w.epoll.Close() }
