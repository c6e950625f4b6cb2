package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// delayed is a link that makes packets wait. The queue that the kernel may have
// for that (netem) is missing in small kernels. So both ends are TUN devices, and this
// process carries the packets across, each when its time has come.
type delayed struct {
	files    [2]*os.File // the host's end and the router's
	up, down atomic.Int64
}

// most is how many packets may wait each way in each place. More are dropped.
const most = 20_000

// packet is on its way until it is due.
type packet struct {
	bytes []byte
	due   time.Time
}

// delay replaces the ends of the host's link by those of a delayed one.
func (h *Host) delay() (err error) {
	n := h.net
	router, err := os.Open(filepath.Join(names, n.router()))
	if err != nil {
		return err
	}
	defer router.Close()
	n.batch("-n " + n.router() + " link del dev " + h.name)
	d := new(delayed)
	if d.files[0], err = tun(h.file, "eth0"); err != nil {
		return err
	}
	if d.files[1], err = tun(router, h.name); err != nil {
		d.close()
		return err
	}
	h.delayed = d
	// What they hold for this process, which may be late.
	n.batch(fmt.Sprintf("-n %s link set dev eth0 txqueuelen %d", h.ns, most), fmt.Sprintf("-n %s link set dev %s txqueuelen %d", n.router(), h.name, most))
	go d.carry(d.files[0], d.files[1], &d.up)
	go d.carry(d.files[1], d.files[0], &d.down)
	return nil
}

// tun makes a device inside a namespace. It lives as long as the file.
func tun(ns *os.File, name string) (file *os.File, err error) {
	err = inside(ns, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("opening /dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("making the TUN device %s: %w", name, err)
		}
		file = os.NewFile(uintptr(fd), "tun") // not before it is a device: the runtime watches it from here on
		return nil
	})
	return file, err
}

// carry takes packets across in their order, until a device is gone.
func (d *delayed) carry(from, to *os.File, delay *atomic.Int64) {
	way := make(chan packet, most)
	go func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.bytes) // fails if the device is down, as a cable would
		}
	}()
	defer close(way)
	for buffer := make([]byte, 1<<16); ; {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		select {
		case way <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(time.Duration(delay.Load()))}:
		default:
		}
	}
}

// close removes the devices. A link that is none of these has nothing to remove.
func (d *delayed) close() {
	if d == nil {
		return
	}
	for _, file := range d.files {
		if file != nil {
			file.Close()
		}
	}
}
