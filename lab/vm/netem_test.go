package vm

import (
	"encoding/binary"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// netem is what the kernel does to each packet on its way. Chances are in percent.
type netem struct {
	delay, jitter            time.Duration
	loss, duplicate, reorder float64 // who is reordered is not delayed, and overtakes
}

// Of linux/pkt_sched.h and linux/rtnetlink.h, which x/sys/unix does not have.
const (
	tcaKind, tcaOptions                      = 1, 2
	netemReorder, netemLatency64, netemJit64 = 3, 10, 11
	qdiscRoot                                = 0xFFFFFFFF
	netemPackets                             = 1 << 20 // may wait, for everybody's delay
)

// chance is a share of 2^32.
func chance(percent float64) uint32 { return uint32(percent / 100 * (1<<32 - 1)) }

func attribute(kind uint16, payload []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(payload)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), payload...)
	return append(b, make([]byte, -len(b)&3)...)
}

func (n netem) options() []byte {
	gap := uint32(0)
	if n.reorder > 0 {
		gap = 1 // each packet may be one that overtakes
	}
	var b []byte // struct tc_netem_qopt; its times are in the attributes, in ns
	for _, v := range []uint32{0, netemPackets, chance(n.loss), gap, chance(n.duplicate), 0} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	reorder := binary.NativeEndian.AppendUint32(nil, chance(n.reorder))
	b = append(b, attribute(netemReorder, binary.NativeEndian.AppendUint32(reorder, 0))...)
	b = append(b, attribute(netemLatency64, binary.NativeEndian.AppendUint64(nil, uint64(n.delay)))...)
	return append(b, attribute(netemJit64, binary.NativeEndian.AppendUint64(nil, uint64(n.jitter)))...)
}

// impair puts it on the loopback interface, both ways, until the test ends or
// restore is called.
func impair(t *testing.T, n netem) (restore func()) {
	t.Helper()
	load(t, "", "sch_netem")
	queueing(t, unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, append(attribute(tcaKind, []byte("netem\x00")), attribute(tcaOptions, n.options())...))
	gone := false
	restore = func() {
		if !gone {
			gone = true
			queueing(t, unix.RTM_DELQDISC, 0, nil)
		}
	}
	t.Cleanup(restore)
	return restore
}

// queueing makes a request about the queueing discipline of the loopback interface.
func queueing(t *testing.T, kind, flags uint16, attributes []byte) {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	const headers = unix.SizeofNlMsghdr + 20 // and struct tcmsg
	b := binary.NativeEndian.AppendUint32(nil, uint32(headers+len(attributes)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	for _, v := range []uint32{1, 0, unix.AF_UNSPEC, uint32(lo.Index), 0, qdiscRoot, 0} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	if err := unix.Sendto(s, append(b, attributes...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 {
		t.Fatalf("netlink: %d bytes, %v", n, err)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		t.Fatalf("netem: %v", unix.Errno(errno))
	}
}

// tcpCounter is one of /proc/net/snmp or netstat: "Tcp RetransSegs".
func tcpCounter(t *testing.T, name string) int {
	t.Helper()
	group, column, _ := strings.Cut(name, " ")
	for _, file := range []string{"/proc/net/snmp", "/proc/net/netstat"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if f[0] != group+":" {
				continue
			}
			for i, n := range names {
				if n == column {
					v, _ := strconv.Atoi(f[i])
					return v
				}
			}
			names = f
		}
	}
	t.Fatalf("there is no counter %q", name)
	return 0
}
