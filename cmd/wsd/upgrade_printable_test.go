package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// What the process at the other end says does not reach the terminal as it is.
func TestUpgradePrintsNoEscapes(t *testing.T) {
	for _, answer := range []string{
		`{"error":"\u001b[2Jall is well\r\u0007\u009b31m\u202e"}`,
		`{"pid":1,"version":"\u001b]0;title\u0007"}`,
	} {
		t.Run("", func(t *testing.T) {
			listener, err := net.Listen("unix", fmt.Sprintf("@wsd/upgrade/%d", os.Getpid())) // where older programs ask, too
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				if c, err := listener.Accept(); err == nil {
					_, _ = io.WriteString(c, answer)
					c.Close()
				}
			}()
			o := runProgram(t, nil, "upgrade", fmt.Sprintf("--pid=%d", os.Getpid()))
			said := o.stdout + o.stderr
			if strings.ContainsAny(said, "\x1b\r\a\u009b\u202e") || len(said) > 1000 {
				t.Errorf("printed %.200q", said)
			}
		})
	}
}
