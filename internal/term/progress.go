package term

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows steps while they are done. On a terminal each step under way is one live line at the bottom (spinner,
// what it does, how long already, the last thing heard of it); a step that ended stays above as a line of its own.
// Elsewhere each start and each end is a plain line. It is safe for concurrent use; nothing else may write to the
// screen between New and Close but Print.
type Progress struct {
	screen Screen
	now    func() time.Time

	mu    sync.Mutex
	steps []*step // under way, in the order in which they began
	drawn int     // live lines on the screen
	frame int

	quit chan struct{}
	gone chan struct{}
}

type step struct {
	name, text, detail string
	began              time.Time
}

// frameTime is how long a frame of the spinner stays.
const frameTime = 100 * time.Millisecond

const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// NewProgress begins to show progress on s until Close.
func NewProgress(s Screen) *Progress {
	p := newProgress(s, time.Now)
	p.quit, p.gone = make(chan struct{}), make(chan struct{})
	go p.run()
	return p
}

func newProgress(s Screen, now func() time.Time) *Progress { return &Progress{screen: s, now: now} }

func (p *Progress) run() {
	defer close(p.gone)
	if !p.screen.Live {
		<-p.quit
		return
	}
	t := time.NewTicker(frameTime)
	defer t.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-t.C:
			p.tick()
		}
	}
}

// tick draws the next frame.
func (p *Progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frame++
	p.redraw("")
}

// Close ends the showing. Steps under way lose their live lines: they did not end.
func (p *Progress) Close() {
	if p.quit != nil {
		close(p.quit)
		<-p.gone
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = nil
	p.redraw("")
}

// Start says that a step begins, or goes on with another text.
func (p *Progress) Start(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = Clean(text)
	if s := p.find(name); s != nil {
		if s.text == text {
			return
		}
		s.text, s.detail = text, ""
	} else {
		p.steps = append(p.steps, &step{name: name, text: text, began: p.now()})
	}
	if !p.screen.Live {
		p.write(fmt.Sprintf("… %s\n", text))
		return
	}
	p.redraw("")
}

// Say tells something about a step that is under way. Of a step that is not, it is a line.
func (p *Progress) Say(name, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text = Clean(text)
	s := p.find(name)
	if s != nil && s.detail == text {
		return
	}
	if s != nil {
		s.detail = text
	}
	switch {
	case !p.screen.Live:
		p.write("    " + text + "\n")
	case s == nil:
		p.redraw("    " + p.screen.Paint(Dim, text) + "\n")
	default:
		p.redraw("")
	}
}

// End says how a step ended. detail is what there is to say about it, such as why it failed; it may have several lines.
func (p *Progress) End(name string, m Mark, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(name)
	if s == nil {
		s = &step{name: name, text: Clean(name), began: p.now()}
	}
	p.drop(s)
	line := fmt.Sprintf("%s %s  %s\n", p.screen.Mark(m), s.text, p.screen.Paint(Dim, elapsed(p.now().Sub(s.began))))
	if detail != "" {
		line += Indent("    ", CleanBlock(detail))
	}
	if p.screen.Live { // elsewhere lines are not broken, so that they can be searched
		line = Fold(line, p.screen.Width())
	}
	p.redraw(line)
}

// Forget takes a step away without a word about its end.
func (p *Progress) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(name); s != nil {
		p.drop(s)
		p.redraw("")
	}
}

// Print writes lines above the live ones. It cleans nothing: what came from outside is cleaned by the caller.
func (p *Progress) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	p.redraw(text)
}

func (p *Progress) find(name string) *step {
	for _, s := range p.steps {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (p *Progress) drop(gone *step) {
	for i, s := range p.steps {
		if s == gone {
			p.steps = append(p.steps[:i:i], p.steps[i+1:]...)
			return
		}
	}
}

// redraw writes above, which stays, and draws the live lines again below it: in one write, so that nothing flickers.
func (p *Progress) redraw(above string) {
	if !p.screen.Live {
		p.write(above)
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn) // up to the first live line
	}
	b.WriteString("\r\x1b[J") // and everything below away
	b.WriteString(above)
	width := p.screen.Width() - 1 // a full line would wrap, and be two
	for _, s := range p.steps {
		b.WriteString(Fit(p.live(s), width) + "\n")
	}
	if p.drawn == 0 && len(p.steps) == 0 && above == "" {
		return
	}
	p.drawn = len(p.steps)
	p.write(b.String())
}

func (p *Progress) live(s *step) string {
	frames := []rune(spinner)
	line := fmt.Sprintf("%s %s  %s", p.screen.Paint(Blue, string(frames[p.frame%len(frames)])), s.text,
		p.screen.Paint(Dim, elapsed(p.now().Sub(s.began))))
	if s.detail != "" {
		line += "  " + p.screen.Paint(Dim, s.detail)
	}
	return line
}

// write ignores errors: a terminal that is gone ends the program by SIGHUP or SIGPIPE, and progress is no result.
func (p *Progress) write(s string) {
	if s != "" {
		_, _ = io.WriteString(p.screen, s)
	}
}
