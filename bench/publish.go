package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// answerAtMost is how much of an answer to a publish is read: header, body, or
// output of a command.
const answerAtMost = 64 << 10

// firstBytes keeps the begin of what is written to it, and takes all of it.
type firstBytes []byte

func (f *firstBytes) Write(p []byte) (int, error) {
	*f = append(*f, p[:min(len(p), answerAtMost-len(*f))]...)
	return len(p), nil
}

// publisher sends messages for all clients through the server.
type publisher struct {
	urls    []string
	header  []string
	command string
	binary  bool
	client  http.Client
}

func newPublisher(p *Plan, binary bool) *publisher {
	return &publisher{
		urls: p.Publish, header: p.PublishHeader, command: p.PublishCommand, binary: binary,
		client: http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true, MaxResponseHeaderBytes: answerAtMost},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// publish sends msg to every server and returns when all have answered.
func (p *publisher) publish(ctx context.Context, msg []byte) error {
	if p.command != "" {
		cmd := exec.CommandContext(ctx, "sh", "-c", p.command)
		cmd.Stdin = bytes.NewReader(msg)
		cmd.WaitDelay = time.Second // for what it left running with our pipes
		var out firstBytes
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			return fmt.Errorf("publish command: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	if len(p.urls) == 1 {
		return p.post(ctx, p.urls[0], msg)
	}
	errs := make([]error, len(p.urls))
	var wg sync.WaitGroup
	for i, url := range p.urls {
		wg.Go(func() { errs[i] = p.post(ctx, url, msg) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *publisher) post(ctx context.Context, url string, msg []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if p.binary {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	for _, h := range p.header {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, answerAtMost))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("publish: POST %s: %s: %s", url, res.Status, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return nil
}
