package main

import (
	"io"

	"github.com/alecthomas/kong"
)

type serveCmd struct {
	Config      configFile `placeholder:"FILE" help:"YAML file with values for the flags below, by their names. Flags go before the environment, the environment before the file, the file before the defaults."`
	PrintConfig bool       `env:"-" help:"Print the effective configuration, as a file for --config, and exit."`
	serveFlags  `embed:""`
}

// Run serves until a signal ends it.
func (c *serveCmd) Run(stdout io.Writer, command *kong.Context) error {
	if c.PrintConfig {
		return printConfig(stdout, settings(command.Selected()))
	}
	return nil
}
