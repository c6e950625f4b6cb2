// Package hosts has only tests: the real wsd serve on one host of a lab, its
// clients on others, and between them links that lose packets, are narrow, or
// are cut. docs/lab.md says what holds.
package hosts
