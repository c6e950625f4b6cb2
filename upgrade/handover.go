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

// Inherit is what an older process hands over, nil if none does. version is this
// program's, for the older process's log. The caller closes it when
// server.TakeOver has returned and the service manager knows of this process.
func Inherit(version string) (*server.Estate, error) {
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

// Handover is what the old process does in an upgrade.
type Handover struct {
	// Server is the one that is handed over.
	Server *server.Server
	// Program is the file of the newer program, as Program found it.
	Program string
	// Files go over beside the listeners, by name. They stay the caller's.
	Files map[string]*os.File
	// Hold and Extra are server.Heir's; either may be nil.
	Hold  func(context.Context) error
	Extra func() ([]byte, error)
}

// heirAnnounce bounds the wait for the new process to tell its supervisor.
const heirAnnounce = 10 * time.Second

// Run starts the new process, with the arguments and the environment of this
// one, and hands over to it. On an error the server serves on, unless the error
// is server.ErrHeirDied.
func (h Handover) Run() (r Report, err error) {
	if os.Getpid() == 1 {
		return r, errors.New("process 1 cannot hand over, since its container ends with it: start wsd under an init, such as docker run --init")
	}
	link, theirs, err := server.NewLink()
	if err != nil {
		return r, err
	}
	defer link.Close()
	heir, err := startHeir(h.Program, theirs)
	if err != nil {
		return r, err
	}
	done, err := h.Server.HandOver(server.Heir{Link: link, Kill: heir.kill, Files: h.Files, Hold: h.Hold, Extra: h.Extra})
	if err != nil {
		return r, heir.explain(err)
	}
	// The supervisor must hear of the new process before this one is gone, or
	// it would take the service for ended.
	link.AwaitClose(heirAnnounce)
	return Report{PID: heir.cmd.Process.Pid, Version: done.Version, Clients: done.Clients,
		Bytes: done.Bytes, Pause: done.Pause.Seconds()}, nil
}
