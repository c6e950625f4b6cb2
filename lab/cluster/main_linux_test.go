package cluster

import (
	"os"
	"testing"
	"time"

	"wsd/lab"
)

// The program under test, built once.
var wsd string

func TestMain(m *testing.M) { os.Exit(lab.Main(m, &wsd)) }

// patience is what a busy machine may take for anything.
const patience = 30*time.Second + lab.Slack

// faultTime is how long a fault lasts.
func faultTime() time.Duration { return lab.Form(5*time.Second, time.Minute) }

// until waits for what has to come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	lab.Within(t, patience-lab.Slack, what, is)
}
