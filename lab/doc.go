// Package lab makes hosts out of network namespaces, for tests: several on one
// machine, joined by a router, over links that lose packets, are narrow, or are
// cut.
//
//	net := lab.New(t)                    // everything in it is removed at the end of t
//	a, b := net.Host("a"), net.Host("b")
//	server := a.Command("wsd", "serve", "--listen="+a.Addr(8066))
//	conn, err := b.Dial("tcp", a.Addr(8066))
//	b.Link().Loss(10)                    // percent of the packets, each way
//	b.Downlink().Cut()                   // nothing reaches b; what b sends arrives
//	net.Cut(a, b)                        // these two do not reach each other; others do
//	net.Heal(a, b)
//
// Each host has a namespace of its own with loopback and one interface, eth0.
// The other end of its link is in the namespace of the router, which forwards
// IPv4 between the hosts. All faults are the router's: a packet that is lost or
// cut off vanishes without an answer, and the interfaces stay up, as when
// something fails far away. Nothing is made in the namespace of the test
// itself, so ports and addresses are free for each Net.
//
// The lab needs root and the commands ip, tc, nft and nsenter. Without them a
// test is skipped, or fails if the variable WSD_LAB demands the lab: see [Env].
//
// A process of its own removes what a Net has made, when the test says so or
// when the test's process is gone, however it ended. If that process died too,
// the next New removes what is left.
//
// Methods without an error fail the test instead, so they are for the test's own
// goroutine. Those that return one may be called from any.
package lab
