//go:build !linux

package netpoll

import (
	"os"
	"time"
)

const MostRights = 250

type Link struct{}

func NewLink() (*Link, *os.File, error)          { return nil, nil, ErrUnsupported }
func OpenLink(f *os.File) (*Link, error)         { f.Close(); return nil, ErrUnsupported }
func (*Link) Send([]byte, []int) error           { return ErrUnsupported }
func (*Link) Receive([]byte) (int, []int, error) { return 0, nil, ErrUnsupported }
func (*Link) SetDeadline(time.Time) error        { return ErrUnsupported }
func (*Link) Close() error                       { return ErrUnsupported }

func InheritPath(int, FileID) (*Listener, error) { return nil, ErrUnsupported }
func (*Listener) File() FileID                   { return FileID{} }
func (*Listener) Leave() error                   { return ErrUnsupported }
