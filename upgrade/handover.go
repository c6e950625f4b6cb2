package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"wsd/server"
)

// handoverVariable is set by the old process for the new one. It has the number
// of the descriptor of the channel between the two.
const handoverVariable = "WSD_HANDOVER"

// Inherit makes the first contact with the older process that has started this
// one. It returns what that process hands over, or nil if this process was not
// started by one. version is this program's, for the older process's log. The
// older process may end when the caller closes what is returned: after
// Server.TakeOver, once the service manager knows of this process.
func Inherit(version string) (*server.Inheritance, error) {
	number := os.Getenv(handoverVariable)
	if number == "" {
		return nil, nil
	}
	if err := os.Unsetenv(handoverVariable); err != nil { // it is not meant for a child
		return nil, err
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%s: not a descriptor; it is set by a server that hands over, and by nobody else", handoverVariable, number)
	}
	link, err := server.OpenLink(os.NewFile(uintptr(fd), "handover"))
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", handoverVariable, number, err)
	}
	e, err := server.Inherit(link, version)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking over: %w", err), link.Close())
	}
	return e, nil
}

// Handover is an upgrade as the old process does it. Use it once.
type Handover struct {
	// Server is the one that is handed over.
	Server *server.Server
	// Program is the file to start, which the function Program found.
	Program string
	// Files go over beside the listeners, by name. They stay the caller's.
	Files map[string]*os.File
	// Hold and Extra are server.Successor's; either may be nil.
	Hold  func(context.Context) error
	Extra func() ([]byte, error)
	// Cluster is server.Successor's; it may be nil.
	Cluster func() ([]byte, error)
}

// announceTimeout bounds the wait for the new process to tell the service manager.
const announceTimeout = 10 * time.Second

// Run starts the new process, with the arguments and the environment of this
// one, and hands over to it. When it returns without an error, the new process
// serves and this one may end. On an error the new process is gone and this
// server serves on, unless the error is server.ErrSuccessorDied: then the clients are
// gone, too. Process 1 of a container cannot hand over.
func (h Handover) Run() (r Report, err error) {
	if os.Getpid() == 1 {
		return r, errors.New("process 1 cannot hand over, since its container ends with it: start wsd under an init, such as docker run --init")
	}
	link, theirs, err := server.NewLink()
	if err != nil {
		return r, err
	}
	defer link.Close()
	next, err := startSuccessor(h.Program, theirs)
	if err != nil {
		return r, err
	}
	done, err := h.Server.HandOver(server.Successor{Link: link, Kill: next.kill, Files: h.Files, Hold: h.Hold, Extra: h.Extra, Cluster: h.Cluster})
	if err != nil {
		next.kill() // HandOver has done so, unless it refused to begin
		return r, next.explain(err)
	}
	// The service manager must hear of the new process before this one is gone,
	// or it would take the service for ended.
	link.AwaitClose(announceTimeout)
	return Report{PID: next.cmd.Process.Pid, Version: done.Version, Clients: done.Clients,
		Bytes: done.Bytes, Pause: done.Pause.Seconds()}, nil
}
