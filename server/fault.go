//go:build !faults

package server

// faultAt returns what a process does at each step of a handover beside the
// handover: nothing. Only a build with the tag "faults", for tests, can be made
// to die or hang there; in any other the steps cannot be reached from outside.
func faultAt(side string) func(step string) { return func(string) {} }
