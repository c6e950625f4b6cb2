package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	notify "github.com/coreos/go-systemd/v22/daemon"
)

// firstInherited is where passed descriptors begin (sd_listen_fds(3)).
const firstInherited = 3

// inherited are the listening descriptors that systemd's socket activation
// passed to this process, and the caller's from then on. The variables are
// unset: they are not meant for a child. Plain numbers, and not the library's
// os.File, which would close what the server owns when it is collected.
func inherited() ([]int, error) {
	pid, number := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range [...]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) || number == "" {
		return nil, nil // for another process, or for nobody
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%s: not a number of descriptors", number)
	}
	var descriptors []int
	for i := range n {
		descriptors = append(descriptors, firstInherited+i)
	}
	return descriptors, nil
}

// supervisor is systemd, or whoever else left a NOTIFY_SOCKET (sd_notify(3)).
// Without one every method does nothing.
type supervisor struct {
	log *slog.Logger
}

func (s supervisor) tell(state ...string) {
	if _, err := notify.SdNotify(false, strings.Join(state, "\n")); err != nil {
		s.log.Warn("the service manager was not told", "state", state[0], "error", err)
	}
}

// ready says that this process serves, and that it is the one to watch: so that
// a process that took over from an older one becomes the main one.
func (s supervisor) ready(status string) {
	s.tell(notify.SdNotifyReady, fmt.Sprintf("MAINPID=%d", os.Getpid()), "STATUS="+status)
}

// stopping says that the process ends, and asks for as long as that may take,
// whatever TimeoutStopSec= says: the drain has a flag of its own.
func (s supervisor) stopping(atMost time.Duration) {
	s.tell(notify.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", atMost.Microseconds()),
		"STATUS=closing the clients")
}

// timeout is how long the supervisor waits for a sign of life, 0 if it does
// not. WATCHDOG_PID is unset: a process that takes over has another number, and
// would take the watchdog for another's.
func (s supervisor) timeout() time.Duration {
	d, err := notify.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the watchdog is not told", "error", err)
	}
	_ = os.Unsetenv("WATCHDOG_PID")
	return d
}

// watch tells the supervisor three times in its timeout that the server is
// alive, until ctx is done. When it is not, nothing is told, and in the end the
// supervisor restarts the service: better all clients come back than they
// stay connected to a loop that hangs.
func (s supervisor) watch(ctx context.Context, timeout time.Duration, alive func(context.Context) error, status func() string) {
	if timeout <= 0 {
		return
	}
	every := time.NewTicker(timeout / 3)
	defer every.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, timeout/3)
		err := alive(bounded)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Error("the watchdog is not told that all is well", "error", err)
		default:
			s.tell(notify.SdNotifyWatchdog, "STATUS="+status())
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}
