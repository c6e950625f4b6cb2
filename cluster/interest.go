package cluster

// Opened is server.Cluster's.
func (n *Node) Opened(string) { n.count.topics.Add(1) }

// Closed is server.Cluster's.
func (n *Node) Closed(string) { n.count.topics.Add(-1) }

// Reached is server.Cluster's.
func (n *Node) Reached([]string, func()) bool { return true }
