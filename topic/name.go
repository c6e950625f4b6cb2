package topic

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest topic name, in bytes.
const MaxName = 128

// ValidName returns an error that wraps ErrName unless topic can be the name of a topic: 1 to MaxName
// bytes of UTF-8 without control characters.
func ValidName(topic string) error {
	if topic == "" || len(topic) > MaxName {
		return fmt.Errorf("%w: it has %d bytes, not 1 to %d", ErrName, len(topic), MaxName)
	}
	if !utf8.ValidString(topic) {
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrName, topic)
	}
	for _, r := range topic {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %q has a control character", ErrName, topic)
		}
	}
	return nil
}
