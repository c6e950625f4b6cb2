package host

import "time"

// Needs says what the machine is wanted for. The zero value of each field but
// Clients stands for its default.
type Needs struct {
	Clients       int           // connections held at once
	LoadGenerator bool          // the clients run on this machine as well, as with `wsd bench` over loopback
	MessageBytes  int           // size of one broadcast; default 1024
	ConnectRate   int           // handshakes per second of a reconnect storm; default a twentieth of Clients, 1,000 to 50,000
	Heartbeat     time.Duration // between two heartbeats of a client; default 30 s
	ClientBytes   int           // what wsd itself spends on a client; default 400
	Loops         int           // event loops of the server; default 1, and up to five need the same
}

// Bounds of a Needs, far beyond any machine: with them no sum or product below
// leaves 64 bits, where what counts up to it would not come to an end.
const (
	mostClients   = 1<<31 - 1
	mostLoops     = 1 << 16
	mostBytes     = 1 << 30
	mostHeartbeat = 10000 * time.Hour
)

// withDefaults fills in what is zero, takes a negative number for zero, and what
// is beyond the bounds for those.
func (n Needs) withDefaults() Needs {
	n.Clients = min(max(n.Clients, 0), mostClients)
	n.MessageBytes, n.ClientBytes = min(n.MessageBytes, mostBytes), min(n.ClientBytes, mostBytes)
	n.ConnectRate = min(n.ConnectRate, mostClients)
	n.Heartbeat = min(n.Heartbeat, mostHeartbeat)
	n.Loops = min(n.Loops, mostLoops)
	if n.MessageBytes <= 0 {
		n.MessageBytes = 1024
	}
	if n.ConnectRate <= 0 {
		n.ConnectRate = min(max(n.Clients/20, 1000), 50000)
	}
	if n.Heartbeat <= 0 {
		n.Heartbeat = 30 * time.Second
	}
	if n.ClientBytes <= 0 {
		n.ClientBytes = 400
	}
	n.Loops = max(n.Loops, 1)
	return n
}

const (
	// acceptStall is how long nothing may be accepted (a collection, a lock, a
	// busy processor) before the listen queue has to hold the arrivals.
	acceptStall = 200 * time.Millisecond

	// hostFiles is what everything else on a machine keeps open, for fs.file-max
	// on top of what is open now.
	hostFiles = 8192

	// The port range asked of a machine that makes the connections. It begins
	// above the ports that services listen on (wsd's 8066 and 8067 among them):
	// the usual advice of 1024 lets an outgoing connection take one of those
	// while its service restarts, which then cannot bind. One end is even and
	// one odd, as the kernel wants it.
	portLow, portHigh = 10240, 65535

	// The shortest time after which a firewall may forget a silent connection,
	// and the longest that it should remember a dead one.
	trackShortest = 10 * time.Minute
	trackLongest  = 24 * time.Hour
)

// Reserve is how many of a process's descriptors are not for clients but for
// listeners, epolls, the publishers' connections, files, and saying no: a 32nd,
// at least 64 and at most 1024, but never less than 36 and 5 for each loop. The
// server keeps them by the same rule, of which it has a copy (a leaf knows it
// not); a test in cmd/wsd holds the two together.
func Reserve(descriptors int64, loops int) int64 {
	return max(min(max(descriptors/32, 64), 1024), reserveOf(loops))
}

// reserveOf is what so many loops keep of even the fewest descriptors.
func reserveOf(loops int) int64 { return 36 + 5*int64(loops) }

func (n Needs) reserve(descriptors int64) int64 { return Reserve(descriptors, n.Loops) }

// descriptors is what one process needs: the least that leaves, beside the
// reserve, one for each client.
func (n Needs) descriptors() int64 {
	clients := int64(n.Clients)
	// A 32nd is kept of all, so a 31st of the clients comes on top, give or take one.
	need := clients + max(min(max(clients/31-1, 64), 1024), reserveOf(n.Loops))
	for need-n.reserve(need) < clients {
		need++
	}
	return need
}

// sockets is how many exist on the machine: one for each client, and the
// client's own end if that is here too.
func (n Needs) sockets() int64 {
	if n.LoadGenerator {
		return 2 * int64(n.Clients)
	}
	return int64(n.Clients)
}

// queue is how many handshakes pile up while nothing is accepted: a power of
// two, and no more than kernels before 5.x could hold in 16 bits.
func (n Needs) queue() int64 {
	return min(powerOfTwo(max(int64(n.ConnectRate)*int64(acceptStall/time.Millisecond)/1000, 1024)), 65535)
}

// inputQueue is the packets of a broadcast that one processor may have to queue
// between two turns of its network interrupt; loopback goes through it as well.
func (n Needs) inputQueue() int64 {
	const usual = 1000 // the kernel's default, enough up to some thirty thousand
	if waiting := int64(n.Clients) / 32; waiting > usual {
		return min(powerOfTwo(waiting), 16384)
	}
	return usual
}

// sources is how many source addresses reach all clients of one listener.
func (n Needs) sources(low, high int64) int64 {
	return ceilDiv(int64(n.Clients), max(high-low+1, 1))
}

// tracked is the conntrack entries of the clients and a fifth for those that
// have gone and are still remembered. Both ends on one machine share an entry.
func (n Needs) tracked() int64 { return int64(n.Clients) + int64(n.Clients)/5 }

func powerOfTwo(n int64) int64 {
	p := int64(1)
	for p < n {
		p *= 2
	}
	return p
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
