package main

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
)

// TestStream: what is sent is the message, in so many frames.
func TestStream(t *testing.T) {
	for _, m := range []message{{size: 1 << 20, text: true}, {size: 1 << 20}, {size: 1 << 20, text: true, fragments: 7}} {
		m.make()
		var got []byte
		frames := 0
		for r := bytes.NewReader(m.stream); r.Len() > 0; frames++ {
			f, err := ws.ReadFrame(r)
			if err != nil {
				t.Fatal(err)
			}
			if f.Header.Fin != (r.Len() == 0) || !f.Header.Masked {
				t.Errorf("%s: frame %d is %+v", m, frames, f.Header)
			}
			got = append(got, ws.UnmaskFrame(f).Payload...)
		}
		if !bytes.Equal(got, m.payload) || len(got) != m.size || frames != max(1, m.fragments) {
			t.Errorf("%s: %d bytes in %d frames", m, len(got), frames)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, of := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(of); got != want {
			t.Errorf("%v has the median %v", of, got)
		}
	}
}
