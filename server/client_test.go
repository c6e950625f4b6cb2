package server

import (
	"testing"
	"unsafe"
)

// What an idle client costs beyond its entry in the index of ids. A field more
// is a megabyte more per million clients and byte: change it knowingly.
func TestClientSize(t *testing.T) {
	if size := unsafe.Sizeof(client{}); size != 120 {
		t.Errorf("a client record has %d bytes, not 120", size)
	}
	if size := unsafe.Sizeof(node{}); size > 48 {
		t.Errorf("a waiting message costs %d bytes, not 48", size)
	}
	if size := unsafe.Sizeof([chunkSize]client{}); size%8192 != 0 {
		t.Errorf("a chunk of %d bytes wastes %d", size, 8192-size%8192)
	}
}
