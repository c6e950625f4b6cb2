package conn_test

import (
	"fmt"

	"github.com/gobwas/ws"

	"wsd/conn"
)

// shout answers every message in capitals, more or less.
type shout struct{}

func (shout) Message(op ws.OpCode, payload, out []byte) ([]byte, error) {
	out, mark := conn.BeginFrame(out)
	out = append(append(out, payload...), '!')
	return conn.EndFrame(out, mark, op), nil
}

func (shout) Control(ws.OpCode, []byte) error { return nil }

// A server's side of a connection whose bytes come in two reads, the second of
// which starts in the middle of a frame.
func Example() {
	nonce := [16]byte{1, 2, 3}
	stream := conn.AppendRequest(nil, "localhost:8066", "/ws", nonce)
	stream = conn.AppendMasked(stream, ws.OpText, true, []byte("hello"), [4]byte{5, 6, 7, 8})

	var upgrader conn.Upgrader
	var request conn.Request
	first, second := stream[:len(stream)-2], stream[len(stream)-2:]
	n, out, err := upgrader.Upgrade(first, nil, &request)
	fmt.Printf("%s, error %v, %d bytes of answer\n", request.Path, err, len(out))

	var protocol conn.Protocol
	var state conn.State
	rest, out, err := protocol.Feed(&state, first[n:], nil, shout{})
	fmt.Printf("%d bytes are kept, %d answered, error %v\n", len(rest), len(out), err)

	in := append(append([]byte{}, rest...), second...)
	rest, out, err = protocol.Feed(&state, in, nil, shout{})
	fmt.Printf("%d bytes are kept, %q, error %v\n", len(rest), out, err)
	// Output:
	// /ws, error <nil>, 129 bytes of answer
	// 3 bytes are kept, 0 answered, error <nil>
	// 0 bytes are kept, "\x81\x06hello!", error <nil>
}
