package bench

import (
	"bytes"
	"os"
)

// readText reads a file that people and their editors write, without the byte
// order mark that some of those put in front of UTF-8.
func readText(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}
