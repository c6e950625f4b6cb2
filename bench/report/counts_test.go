package report

import (
	"strconv"
	"testing"
)

// What a server chooses the names of has a bound of names.
func TestKindsAreBounded(t *testing.T) {
	var kinds Kinds
	for code := range 2000 {
		kinds.Add(strconv.Itoa(3000+code), 1)
	}
	if len(kinds) != kindsAtMost+1 || kinds["other"] != uint64(2000-len(kinds)+1) {
		t.Errorf("%d kinds, %d others", len(kinds), kinds["other"])
	}
}
