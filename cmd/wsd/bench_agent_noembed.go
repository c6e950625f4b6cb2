//go:build !nocluster && noembed

package main

import "errors"

// Run says that there is no NATS server inside.
func (c *benchAgentCmd) Run() error {
	return errors.New("this program is built without a NATS server inside, which an agent needs")
}
