//go:build !linux

package netpoll

import (
	"net/netip"
	"time"
)

// Everything here only says that Linux is needed; the documentation is with
// the real thing in the _linux.go files.

type Interest uint32

const (
	Edge      Interest = 1
	EdgeWrite Interest = 2
	Level     Interest = 3
)

type Event struct{}

func (*Event) Token() Token   { return 0 }
func (*Event) Readable() bool { return false }
func (*Event) Writable() bool { return false }
func (*Event) Ended() bool    { return false }

type Poller struct{}

func NewPoller() (*Poller, error)                              { return nil, ErrUnsupported }
func (*Poller) Fd() int                                        { return -1 }
func (*Poller) Add(int, Token, Interest) error                 { return ErrUnsupported }
func (*Poller) Mod(int, Token, Interest) error                 { return ErrUnsupported }
func (*Poller) Del(int) error                                  { return ErrUnsupported }
func (*Poller) Wait([]Event, time.Duration) (int, bool, error) { return 0, false, ErrUnsupported }
func (*Poller) Doze([]Event) (int, bool, error)                { return 0, false, ErrUnsupported }
func (*Poller) Park([]Event) (int, bool, error)                { return 0, false, ErrUnsupported }
func (*Poller) Look([]Event, bool) (int, bool, error)          { return 0, false, ErrUnsupported }
func (*Poller) Tick(time.Duration) error                       { return ErrUnsupported }
func (*Poller) Wake() error                                    { return ErrUnsupported }
func (*Poller) Close() error                                   { return ErrUnsupported }

type Listener struct{}

func Listen(string, Options) (*Listener, error)        { return nil, ErrUnsupported }
func Inherit(int) (*Listener, error)                   { return nil, ErrUnsupported }
func (*Listener) Fd() int                              { return -1 }
func (*Listener) Addr() string                         { return "" }
func (*Listener) Accept() (int, netip.AddrPort, error) { return -1, netip.AddrPort{}, ErrUnsupported }
func (*Listener) Close() error                         { return ErrUnsupported }

type Watcher struct{}

func NewWatcher(func(error)) (*Watcher, error) { return nil, ErrUnsupported }
func (*Watcher) Watch(*Poller, func()) error   { return ErrUnsupported }
func (*Watcher) Rearm(*Poller) error           { return ErrUnsupported }
func (*Watcher) Forget(*Poller) error          { return ErrUnsupported }
func (*Watcher) Close() error                  { return ErrUnsupported }

func Read(int, []byte) (int, error)               { return 0, ErrUnsupported }
func Write(int, []byte) (int, error)              { return 0, ErrUnsupported }
func Writev(int, [][]byte) (int, error)           { return 0, ErrUnsupported }
func CloseWrite(int) error                        { return ErrUnsupported }
func Close(int) error                             { return ErrUnsupported }
func Abort(int) error                             { return ErrUnsupported }
func Adopt(int, Options) error                    { return ErrUnsupported }
func Dup(int) (int, error)                        { return -1, ErrUnsupported }
func SocketError(int) error                       { return ErrUnsupported }
func SetReceiveBuffer(int, int) error             { return ErrUnsupported }
func Descriptors() (int, error)                   { return 0, ErrUnsupported }
func Exhausted(error) bool                        { return false }
func Reserve() (int, error)                       { return -1, ErrUnsupported }
func Dial(_, _ netip.AddrPort) (int, bool, error) { return -1, false, ErrUnsupported }
