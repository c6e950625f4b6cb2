package host

import "time"

// What the kernel spends, in bytes. BenchmarkSocket measures it on the machine it
// runs on: Linux 6.18 gave 4,100 to 4,900 for a socket and its epoll entry
// together, and one page of tcp_mem for an unread message of 128 or 1,024 bytes,
// two for one of 4,096.
const (
	socketBytes = 4400 // tcp_sock, file, inode and dentry of an idle socket
	watchBytes  = 160  // one registration with one epoll
	bufferBytes = 1280 // what a buffer costs beyond its payload: its header, and room for protocol headers
	trackBytes  = 320  // one conntrack entry

	processBytes   = 32 << 20 // wsd with no client: runtime, code, scratch buffers
	generatorBytes = 1024     // what the load generator spends on a client
)

// Estimate is what a number of clients costs. Bytes unless the name says otherwise.
type Estimate struct {
	Sockets   int64 `json:"sockets"`   // kernel, idle sockets
	Watches   int64 `json:"watches"`   // kernel, epoll
	Conntrack int64 `json:"conntrack"` // kernel, 0 when nothing is tracked
	Server    int64 `json:"server"`    // wsd
	Generator int64 `json:"generator"` // the load generator, 0 without
	Burst     int64 `json:"burst"`     // one broadcast that no client has read yet
	Total     int64 `json:"total"`

	BurstPages          int64   `json:"burst_pages"`           // of tcp_mem, which counts whole pages for each socket
	HeartbeatsPerSecond float64 `json:"heartbeats_per_second"` // in, and as many answers out
	ConnectSeconds      float64 `json:"connect_seconds"`       // until all are back after a restart
	SourceAddresses     int64   `json:"source_addresses"`      // that the load generator needs with a full port range, 0 without
}

// NewEstimate does the arithmetic. It depends on the machine for the size of a
// page and for whether connections are tracked.
func NewEstimate(f Facts, n Needs) Estimate {
	n = n.withDefaults()
	clients := int64(n.Clients)
	e := Estimate{
		Sockets: n.sockets() * socketBytes,
		Watches: n.sockets() * watchBytes,
		Server:  processBytes + clients*int64(n.ClientBytes),
		// The message itself is encoded once. On loopback the buffer moves from
		// the sender to the receiver, so that it is there once, not twice.
		Burst:               clients * int64(n.MessageBytes+bufferBytes),
		BurstPages:          clients * ceilDiv(int64(n.MessageBytes+bufferBytes), f.pageSize()),
		HeartbeatsPerSecond: float64(n.Clients) / n.Heartbeat.Seconds(),
		ConnectSeconds:      float64(n.Clients) / float64(n.ConnectRate),
	}
	if f.tracking() {
		e.Conntrack = n.tracked() * trackBytes
	}
	if n.LoadGenerator {
		e.Generator = clients * generatorBytes
		e.SourceAddresses = n.sources(portLow, portHigh)
		if now := f.Sysctl["net.ipv4.ip_local_port_range"]; len(now) == 2 {
			e.SourceAddresses = min(e.SourceAddresses, n.sources(now[0], now[1]))
		}
	}
	e.Total = e.Sockets + e.Watches + e.Conntrack + e.Server + e.Generator + e.Burst
	return e
}

func (f Facts) pageSize() int64 {
	if f.PageSize > 0 {
		return f.PageSize
	}
	return 4096
}

// tracking says whether conntrack follows connections now. It is loaded on many
// machines where no rule uses it: then nothing is ever entered.
func (f Facts) tracking() bool {
	n, ok := f.one("net.netfilter.nf_conntrack_count")
	return ok && n > 0
}

// seconds is a duration as the kernel writes it.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }
