package admin

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever pieces the body comes in, the lines are the same.
func TestLinesInAnyCut(t *testing.T) {
	long := strings.Repeat("x", 100)
	body := "a\n\nb\r\n" + long + "\n" + long + "y\n" + strings.Repeat("z", 100_000) + "\nlast"
	want := []string{"a", "", "b", long, "?", "?", "last"}
	for _, whole := range []bool{true, false} {
		for _, end := range []string{"", "\n"} {
			var r io.Reader = strings.NewReader(body + end)
			if !whole {
				r = iotest.OneByteReader(r)
			}
			l := newLines(r, 100)
			var got []string
			for {
				line, tooLong, err := l.next()
				if err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					break
				}
				if tooLong {
					line = []byte("?")
				}
				got = append(got, string(line))
				if cap(l.line) > 64<<10 {
					t.Errorf("%d bytes of a line are held", cap(l.line))
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %q", got)
			}
		}
	}
	l := newLines(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("broken"))), 100)
	if line, _, err := l.next(); err == nil || err == io.EOF {
		t.Errorf("half a line was taken for one: %q", line)
	}
}

// A long line in the reader's buffer is found whole.
func TestLinesLongerThanTheBuffer(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	l := newLines(strings.NewReader("a\n"+long+"\nb\n"), 1<<20)
	for _, want := range []string{"a", long, "b"} {
		if line, tooLong, err := l.next(); err != nil || tooLong || string(line) != want {
			t.Fatalf("%d bytes, %v, %v", len(line), tooLong, err)
		}
	}
}
