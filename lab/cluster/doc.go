// Package cluster has only tests: the real wsd serve on three hosts of a lab as one
// cluster, clients and publishers on others, and between them links that are cut or
// lose packets, nodes that stand still and nodes that die. docs/lab.md says what holds.
package cluster
