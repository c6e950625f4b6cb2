// Package vm holds the tests that need a machine of their own: kernel limits that
// concern the whole machine, a network with faults, a clock to set, and more
// descriptors than a container gives. Its test binary is the first process of a
// virtual machine, which run.sh boots; elsewhere it says so and does nothing.
package vm
