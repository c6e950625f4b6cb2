//go:build !linux

package netpoll

import "time"

func (*Poller) WaitFine([]Event, time.Duration) (int, bool, error) { return 0, false, ErrUnsupported }

func NewFinePoller() (*Poller, error) { return nil, ErrUnsupported }

func FineTimers() error         { return ErrUnsupported }
func Monotonic() (int64, error) { return 0, ErrUnsupported }
func ErrnoName(error) string    { return "" }
