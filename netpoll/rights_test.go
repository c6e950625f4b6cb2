package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newPair(t *testing.T) (a, b *Link) {
	t.Helper()
	a, f, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = OpenLink(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, l := range []*Link{a, b} {
		if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// As many descriptors as a message may carry arrive in their order, as copies
// that live on when the sender closes its own.
func TestLink(t *testing.T) {
	a, b := newPair(t)
	file := filepath.Join(t.TempDir(), "f")
	var fds []int
	var files []*os.File
	for i := range MostRights {
		f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // told apart by their offset
			if _, err := f.WriteString("x"); err != nil {
				t.Fatal(err)
			}
		}
		files, fds = append(files, f), append(fds, int(f.Fd()))
	}
	if err := a.Send(bytes.Repeat([]byte("m"), 50_000), fds); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	if err := a.Send([]byte("n"), nil); err != nil {
		t.Fatal(err)
	}
	a.Close()
	buf := make([]byte, 64<<10)
	n, got, err := b.Receive(buf)
	if err != nil || n != 50_000 || len(got) != MostRights {
		t.Fatalf("%d bytes, %d descriptors, %v", n, len(got), err)
	}
	for i, fd := range got {
		f := os.NewFile(uintptr(fd), "copy")
		if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != int64(1-i%2) {
			t.Errorf("descriptor %d is at %d, %v", i, at, err)
		}
		f.Close()
	}
	if n, got, err = b.Receive(buf); n != 1 || got != nil || err != nil {
		t.Errorf("second message: %d %v %v", n, got, err)
	}
	if _, _, err = b.Receive(buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLinkMessageTooLong(t *testing.T) {
	a, b := newPair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.Send(make([]byte, 100), []int{int(w.Fd())}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, _, err := b.Receive(make([]byte, 99)); err == nil {
		t.Error("a cut message was taken")
	}
	// The copy that came along was closed: the pipe has no writer left.
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("reading the pipe: %v", err)
	}
}

// A listener that goes on elsewhere leaves its file behind, the one who took it
// over removes it.
func TestListenerLeaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := Listen("unix:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Dup(old.Fd())
	if err != nil {
		t.Fatal(err)
	}
	young, err := InheritPath(fd, old.File())
	if err != nil {
		t.Fatal(err)
	}
	if old.File() == (FileID{}) || young.File() != old.File() || young.Addr() != "unix:"+path {
		t.Errorf("owned: %v, %v; address %s", old.File(), young.File(), young.Addr())
	}
	if err := old.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is gone too early: %v", err)
	}
	if err := young.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is left behind")
	}
}

// What lies at the path of a unix socket by the time it is closed is only removed
// if it is that socket's file.
func TestListenerRemovesItsOwnFile(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"another server's socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
		"a file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link": func(path string) error {
			if err := os.WriteFile(path+".x", nil, 0o600); err != nil {
				return err
			}
			return os.Symlink(path+".x", path)
		},
	} {
		for _, passed := range []bool{false, true} { // to a process that takes over
			path := filepath.Join(t.TempDir(), "s")
			l, err := Listen("unix:"+path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			if passed {
				fd, err := Dup(l.Fd())
				if err != nil {
					t.Fatal(err)
				}
				file := l.File()
				if err := l.Leave(); err != nil {
					t.Fatal(err)
				}
				if l, err = InheritPath(fd, file); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("%s, passed on: %v: it was removed", name, passed)
			}
		}
	}
}
