// Package host knows what the machine allows: it reads limits, kernel settings
// and memory, works out what a number of WebSocket clients needs of them, and
// says, prints, sets and restores the difference.
//
// In reading order: facts.go (what is read), needs.go and estimate.go (the
// arithmetic), plan*.go (one item of advice per setting), report.go and
// render.go (what people and configuration systems get), apply.go and revert.go
// (what is changed).
//
// usage.go has what a running server asks again and again: what it takes, and what
// is left to it.
//
// Everything starts from a root directory. "/" is this machine; a directory
// that holds copies of the same files under proc, sys and etc is some other
// machine, which is how the recorded ones of the tests are read, and how the
// writing half can be tried without touching a kernel.
//
// Nothing here keeps a file open, starts a goroutine or caches: facts change
// under a running machine, so they are read again each time.
package host
