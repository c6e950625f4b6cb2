// Package conn is the WebSocket protocol (RFC 6455) of one connection as pure
// bytes: no descriptor, goroutine, lock or clock. Bytes that were read go in,
// whole messages go to a [Sink], bytes to be written come out.
//
// The opening handshake is [Upgrader.Upgrade] on a server, [AppendRequest] and
// [CheckResponse] on a client. In front of it may be a header of the PROXY protocol
// ([ProxyHeader]). After it, every read is handed to
// [Protocol.Feed]:
//
//	in = leftover ++ bytes just read
//	     │
//	   parse     header.go   one frame header, checked byte by byte
//	     │
//	   take      feed.go     unmask in place; assemble.go joins fragments and checks UTF-8
//	     │
//	   sink      Message     answers are appended to out
//	     │       Control     told of pings, pongs and closes (control.go answers)
//	     ▼
//	leftover, out            the leftover is empty between messages
//
// What a connection must remember between two reads is a [State] of 16 bytes
// without pointers, so that a million of them are one slab that the garbage
// collector never scans. The leftover bytes belong to the caller: a client that
// is not in the middle of a message has none.
//
// However a stream is cut into reads, messages, answers and errors are the
// same, and the work is linear in the bytes received. Nothing in this package
// allocates because of a number a peer sent; the hot paths do not allocate at
// all.
package conn
