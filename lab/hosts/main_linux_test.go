package hosts

import (
	"os"
	"testing"

	"wsd/lab"
)

// The program under test, built once.
var wsd string

func TestMain(m *testing.M) { os.Exit(lab.Main(m, &wsd)) }
