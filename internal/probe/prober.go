package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/evidence"
)

// body is how much of an answer is read: one that breaks off in it is no good answer.
const body = 1 << 20

// Prober is one that asks, from Start to Stop.
type Prober struct {
	at     string // the address that it asks at
	probe  app.Probe
	client *http.Client
	now    func() time.Time
	stop   context.CancelFunc
	open   chan struct{} // as many as are under way
	work   sync.WaitGroup
	whole  *Look // from Start on

	mu    sync.Mutex
	looks []*Look // those that go on; a slice is never changed, but replaced
}

// Start asks at an address, which is a definition's `url`, until Stop. Where before asked already and was lost, interrupted
// says so.
func Start(address string, p app.Probe, now func() time.Time, interrupted bool) *Prober {
	ctx, stop := context.WithCancel(context.Background())
	pr := &Prober{
		at: strings.TrimSuffix(address, "/") + p.Path, probe: p, now: now, stop: stop, open: make(chan struct{}, underWay(p.Rate, p.Timeout)),
		client: newClient(),
	}
	pr.whole = pr.look(interrupted)
	pr.work.Go(func() { pr.run(ctx) })
	return pr
}

// newClient makes a connection for each question, as a user who comes anew does: what is kept alive would tell of the
// release that it was opened to. A redirect is an answer; it is not followed to where nobody wanted to ask.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Seen is what was seen since Start: of what is under way nothing.
func (p *Prober) Seen() evidence.Probed { return p.whole.Seen() }

// AnswerTime is how long it may take, beside the time of one question, until a release that says it is live answers well.
const AnswerTime = 5 * time.Second

// Stop ends the asking, waits for what is under way, and returns all that was seen.
func (p *Prober) Stop() evidence.Probed {
	p.stop()
	p.work.Wait()
	return p.Seen()
}

// run sends probes when they are due. One that could not be sent in time is missed; it is not made up for, or a machine that
// was slow would then harry the app.
func (p *Prober) run(ctx context.Context) {
	s := schedule{begin: time.Now(), every: time.Second / time.Duration(p.probe.Rate)}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		send, missed, wait := s.due(time.Now())
		timer.Reset(wait)
		if send && !p.send(ctx) {
			missed++
		}
		if missed > 0 {
			p.missed(missed)
		}
	}
}

// send sends one probe; it is false where too many are under way. One that is under way when the asking ends goes on to its
// own end, since half an answer would be counted as a failure.
func (p *Prober) send(ctx context.Context) bool {
	select {
	case p.open <- struct{}{}:
	default:
		return false
	}
	p.work.Go(func() {
		defer func() { <-p.open }()
		looks, began, sent := p.sent(), time.Now(), p.now().UTC()
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.probe.Timeout)
		defer cancel()
		why := p.ask(one)
		p.answered(looks, answer{sent: sent, took: time.Since(began), why: why})
	})
	return true
}

// ask sends one question and says why it was not answered well, "" where it was.
func (p *Prober) ask(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.at, nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("User-Agent", "greenroom-probe")
	req.Header.Set("Cache-Control", "no-cache") // what a cache remembers is not the app's answer
	res, err := p.client.Do(req)
	if err != nil {
		return reason(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, body)); err != nil {
		return "the answer broke off: " + reason(ctx, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 399 {
		return fmt.Sprintf("it answered %d", res.StatusCode)
	}
	return ""
}

// reason is an error without the address, which everybody knows here.
func reason(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no answer in time"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
