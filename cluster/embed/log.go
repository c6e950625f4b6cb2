package embed

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// logger passes on what the server has to say. Its own would end the process at what
// is fatal to it, such as a port in use, and a million clients with it.
type logger struct {
	log     *slog.Logger
	fatal   atomic.Pointer[string]
	refused atomic.Pointer[string]
	last    atomic.Int64 // when a line was logged last, Unix seconds
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(string, ...any)           {}
func (l *logger) Tracef(string, ...any)           {}
func (l *logger) Warnf(format string, v ...any)   { l.say(fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.say(fmt.Sprintf(format, v...)) }

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.Store(&text)
	l.log.Debug("nats: " + text)
}

// say logs a line, at most one a second: a peer that is not there is tried for ever.
func (l *logger) say(text string) {
	if refusal(text) {
		l.refused.Store(&text)
	}
	now := time.Now().Unix()
	if last := l.last.Load(); last == now || !l.last.CompareAndSwap(last, now) {
		return
	}
	l.log.Debug("nats: " + text)
}

// refusal tells lines about a secret or a certificate that does not fit.
func refusal(text string) bool {
	text = strings.ToLower(text)
	for _, word := range []string{"authorization violation", "authentication error", "authentication timeout", "tls handshake error", "tls route handshake error"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func (l *logger) refusal() error {
	if text := l.refused.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}
