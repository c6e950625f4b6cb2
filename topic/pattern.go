package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPattern says why no name of a topic can match a pattern; nil if some can.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("it is empty, and so is no topic's name: write a name, or a pattern as room.*")
	case !utf8.ValidString(pattern):
		return errors.New("it is not UTF-8, and names of topics are")
	case strings.ContainsFunc(pattern, unicode.IsControl):
		return errors.New("it has a control character, and no topic's name has")
	case len(pattern)-strings.Count(pattern, "*") > MaxName:
		return fmt.Errorf("a topic's name has at most %d bytes: make it shorter", MaxName)
	}
	return nil
}

// Allowed says whether topic matches one of patterns, or there are none: no patterns, no restriction.
//
// In a pattern, * stands for any run of characters, also an empty one and also across dots and slashes,
// and ? for one character; everything else stands for itself, so that every string is a pattern.
// "room.*" allows "room.", "room.7" and "room.7.news". It takes at most len(pattern) × len(topic) steps
// for each pattern, whatever a client chooses as topic.
func Allowed(patterns []string, topic string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, pattern := range patterns {
		if match(pattern, topic) {
			return true
		}
	}
	return false
}

// match says whether all of topic matches pattern. Only the last * met needs to be tried again with a
// longer run: whatever an earlier one could take, the last one can take too.
func match(pattern, topic string) bool {
	star, retry := -1, "" // behind the last *, and the topic where its run ended
	p := 0
	rest := topic
	for {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			star, retry = p, rest
			continue
		case p == len(pattern) && rest == "":
			return true
		case p < len(pattern) && rest != "":
			if pattern[p] == '?' {
				_, n := utf8.DecodeRuneInString(rest)
				p, rest = p+1, rest[n:]
				continue
			}
			if strings.HasPrefix(rest, pattern[p:p+1]) {
				p, rest = p+1, rest[1:]
				continue
			}
		}
		if star == -1 || retry == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(retry)
		retry = retry[n:]
		p, rest = star, retry
	}
}
