// Command wsd is the server, and the tools around it, in one program:
//
//	wsd serve     runs the server until SIGTERM or SIGINT
//	wsd bench     puts load on a WebSocket server, and reports
//	wsd tune      says what this host lacks for a number of clients, or changes it
//	wsd upgrade   has a running server hand over to a newer program
//	wsd health    asks a running server whether it is well
//	wsd version   says what was built, from what
//
// Every command has --help. This package parses flags and wires the other
// packages together, nothing else.
package main

import (
	"fmt"
	"io"
	"os"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a flag, an environment variable or the configuration file
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program, with what it takes from its surroundings as arguments.
func run(args []string, stdout, stderr io.Writer) int {
	dropEmptyVariables()
	var c cli
	parser, err := newParser(&c, stdout, stderr)
	if err != nil {
		panic(err) // a mistake in the tags of the flags
	}
	command, err := parser.Parse(joinNegative(args))
	if err != nil {
		fmt.Fprintf(stderr, "wsd: %v\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		lastWord(stderr, fmt.Sprintf("wsd: %v\n", err))
		return exitFailed
	}
	return exitOK
}
