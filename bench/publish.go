package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
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
	host    string   // instead of the URL's
	header  []string // secrets filled in
	command string
	client  http.Client
}

func newPublisher(p *Plan) (*publisher, error) {
	fields, err := parseFields(p.PublishHeader)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	host, header, err := splitHost(fields)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	for _, raw := range p.Publish {
		if u, err := neturl.Parse(raw); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(raw, "#") {
			return nil, fmt.Errorf("publish URL %q: want one as http://127.0.0.1:8067/v1/publish?all", redact(raw))
		}
	}
	return &publisher{
		urls: p.Publish, host: host, header: header, command: p.PublishCommand,
		client: http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true, MaxResponseHeaderBytes: answerAtMost},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// publish sends msg to every server and returns when all have answered.
func (p *publisher) publish(ctx context.Context, msg []byte, text bool) error {
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
		return p.post(ctx, p.urls[0], msg, text)
	}
	errs := make([]error, len(p.urls))
	var wg sync.WaitGroup
	for i, url := range p.urls {
		wg.Go(func() { errs[i] = p.post(ctx, url, msg, text) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (p *publisher) post(ctx context.Context, url string, msg []byte, text bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(msg))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if p.host != "" {
		req.Host = p.host
	}
	for _, h := range p.header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	switch {
	case req.Header.Get("Content-Type") != "":
	case text:
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	default:
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	res, err := p.client.Do(req)
	if err != nil {
		var inner *neturl.Error // it would say the URL, whatever is in it
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("publish: POST %s: %w", redact(url), err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, answerAtMost))
	if to := res.Header.Get("Location"); res.StatusCode/100 == 3 && to != "" {
		return fmt.Errorf("publish: POST %s: %s to %s, which is not followed: give that URL", redact(url), res.Status, redact(to))
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("publish: POST %s: %s: %s", redact(url), res.Status, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return nil
}
