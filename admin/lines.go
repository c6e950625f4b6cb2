package admin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lines cuts a body into lines and never holds more than max bytes of one.
type lines struct {
	r    *bufio.Reader
	max  int
	line []byte // of a line that did not fit r's buffer
	eof  bool
}

func newLines(r io.Reader, max int) *lines {
	return &lines{r: bufio.NewReaderSize(r, 32<<10), max: max}
}

// waits tells that next will have to read: no whole line is here.
func (l *lines) waits() bool {
	here, _ := l.r.Peek(l.r.Buffered())
	return !l.eof && bytes.IndexByte(here, '\n') < 0
}

// next returns a line without its end, valid until the next call. A line that
// is too long is passed over, and tooLong set. The last line needs no end. The
// error is io.EOF after it, or what the body failed with.
func (l *lines) next() (line []byte, tooLong bool, err error) {
	if l.eof {
		return nil, false, io.EOF
	}
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(l.line)+len(part) > l.max+1; tooLong {
			l.line = l.line[:0]
		} else if len(l.line) > 0 || errors.Is(err, bufio.ErrBufferFull) {
			l.line = append(l.line, part...)
			part = l.line
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			l.eof = true
			if len(part) == 0 && !tooLong {
				return nil, false, io.EOF
			}
			return part, tooLong, nil
		case err != nil:
			return nil, false, err
		default:
			return bytes.TrimRight(part, "\r\n"), tooLong, nil
		}
	}
}
