// Package cluster makes processes of wsd, on any number of hosts, answer as one. NATS
// carries what they say to each other; who is interested in what, and what became of a
// message on each node, is known here.
//
// # The way of a publish
//
//	publisher -> its node: Begin (publish.go)
//	  1. the message is begun here; then it is numbered, and sent to each node that
//	     may have somebody it is for (the interest, interest.go; tags in client ids),
//	     together with what else has come by then (sender.go)
//	  2. there: read (link.go) -> inbox (inbox.go), one for all senders, in the
//	     order in which NATS brought it -> deliver -> the server's own fan-out
//	  3. there: report (report.go) says what became of it, several answers in one message
//	  4. here: outcome (outcome.go) adds up, and names who did not answer and why
//
// Nothing is sent twice, and nothing is waited for by a blind time-out: a node that has
// not answered says every now and then that it is at work, and one that does not is
// given up after a second. What NATS loses is lost, and named as missing; the publisher
// may repeat the message with its key, and it reaches just those who have not got it.
//
// # Subjects
//
// All begin with "wsd.", the name of the cluster and a dot.
//
//	n.<node>.<life>   that node, in that life: from its start to its end, live upgrades included
//	all               all nodes: heartbeats, interest
//	publish, topic.>  publishers that talk NATS (door.go); one node of a queue group takes each
//
// # Messages
//
// Between nodes, a message is a byte for the version of the protocol, a byte for its kind,
// and a body. Numbers are little-endian, a "uvarint" is encoding/binary's, "bytes" are a
// uvarint length and so many bytes. Its reply subject is the sender's own.
//
//	heartbeat  JSON (member.go)
//	publish    u8 flags, u64 life of the sender, u64 number, i64 left until the deadline (ns; 0: none),
//	           bytes coalesce, bytes key, u8[32] fingerprint if there is a key,
//	           u8 target: 0 all, 1 topics, 2 clients; unless all: uvarint n, n × bytes or u8[16];
//	           the rest is the message
//	together   bytes, each a publish with its head; for nodes whose heartbeat says that they take it
//	result     u64 life of the node that answers, and to the end: uvarint number, u8 status,
//	           if done or again: uvarint matched, sent, queued, dropped, expired, nanoseconds to the
//	           last client, nanoseconds from its arrival to this answer
//	delta      u64 life, u64 version before, u64 version after, and to the end: uvarint 2·bucket + opened;
//	           too long for that, it has none of them, and twice the version after
//	seen       u64 life of the sender, u64 version: a delta or a snapshot has come
//	snapshot   u64 life, u64 version, u8 bits, the bitmap; u64 number of the want, if it had one
//	want       u64 life, u64 number: send me your snapshot
//	ask, told  JSON (ask.go): questions that are not in a hurry, and their answers
//
// A node drops what has a version or a kind that it does not know. A new field of JSON,
// or a new kind, needs no new version. Numbers of publishes rise by any amount: a node
// takes none that is not above the last one of that life, so what an old connection
// brings late neither doubles nor overtakes anything.
package cluster
