package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthCmd asks a running server for its health: the check of a container
// whose image has no other program.
type healthCmd struct {
	Admin   string `default:"127.0.0.1:8067" placeholder:"ADDRESS" help:"Where the server has its admin side: its --admin."`
	Ready   bool   `env:"-" help:"Ask whether clients should be sent there, too: not while it starts, drains or is full."`
	Timeout span   `env:"-" default:"2s" help:"For the answer."`
}

// Validate refuses a check that nothing passes. kong calls it.
func (c *healthCmd) Validate() error {
	if c.Timeout == 0 {
		return errors.New("--timeout 0s: there has to be a time for the answer, as in 2s")
	}
	return nil
}

// Run fails unless the answer is 200.
func (c *healthCmd) Run(stdout io.Writer) error {
	if c.Admin == "" || c.Admin == "none" {
		return fmt.Errorf("--admin is %s: the server has no admin side to ask", cmp.Or(c.Admin, "empty"))
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.Timeout))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(c.Admin)+path, nil)
	if err != nil {
		return fmt.Errorf("--admin %s: %w: write host:port, as in 127.0.0.1:8067", c.Admin, err)
	}
	// Directly: a proxy from the environment is not meant for the own machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return err
	}
	answer := printable(strings.TrimSpace(string(text)))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", printable(response.Status), answer)
	}
	_, err = fmt.Fprintln(stdout, answer)
	return err
}

// reachable is the address to ask of one to listen on: all of a host's
// addresses are reached at its own.
func reachable(admin string) string {
	for _, all := range [...]string{"0.0.0.0", "[::]", ""} {
		if port, ok := strings.CutPrefix(admin, all+":"); ok {
			return "localhost:" + port
		}
	}
	return admin
}
