package server

import "time"

// Token buckets without a timer: what a client may still send is brought up to
// date when it sends something. Each holds two seconds' worth.

const burst = 2 // seconds

func (l *loop) fillBuckets(c *client) {
	cfg := &l.server.cfg
	c.messages, c.bytes, c.controls = burst*float32(cfg.MessageRate), burst*float32(cfg.ByteRate), burst*float32(cfg.ControlRate)
	c.refilled = l.millis()
}

// millis is the loop's clock for rates. It wraps after 49 days, which the
// unsigned difference does not mind.
func (l *loop) millis() uint32 { return uint32(time.Since(l.start) / time.Millisecond) }

func (l *loop) refill(c *client) {
	cfg := &l.server.cfg
	now := l.millis()
	s := float32(now-c.refilled) / 1000
	c.refilled = now
	c.messages = min(c.messages+s*float32(cfg.MessageRate), burst*float32(cfg.MessageRate))
	c.bytes = min(c.bytes+s*float32(cfg.ByteRate), burst*float32(cfg.ByteRate))
	c.controls = min(c.controls+s*float32(cfg.ControlRate), burst*float32(cfg.ControlRate))
}

func (l *loop) takeMessage(c *client) bool {
	return l.server.cfg.MessageRate <= 0 || l.take(c, &c.messages, 1)
}

func (l *loop) takeControl(c *client) bool {
	return l.server.cfg.ControlRate <= 0 || l.take(c, &c.controls, 1)
}

// takeBytes may run into debt: what has been read has been read, and one read
// may be more than a second's worth. The next read finds the bucket empty.
func (l *loop) takeBytes(c *client, n int) bool {
	if l.server.cfg.ByteRate <= 0 || n == 0 {
		return true
	}
	ok := l.take(c, &c.bytes, 1)
	c.bytes -= float32(n - 1)
	return ok
}

func (l *loop) take(c *client, bucket *float32, n float32) bool {
	if *bucket < n {
		l.refill(c)
	}
	if *bucket < n {
		return false
	}
	*bucket -= n
	return true
}
