// Package term is how text gets in front of a person: colours where they are wanted, live progress lines on a
// terminal and plain lines elsewhere, columns, durations, and no control characters that came from outside.
package term

import (
	"io"
	"os"

	"charm.land/lipgloss/v2"
	xterm "github.com/charmbracelet/x/term"
)

// Screen is where text goes, and what can be done there.
type Screen struct {
	io.Writer
	Live  bool       // a terminal: lines can be drawn again
	Color bool       // colours are wanted
	Width func() int // in cells; asked anew for each frame, since windows are resized
}

// defaultWidth is the width of what is no terminal, in cells.
const defaultWidth = 100

// Detect finds out what w can do. NO_COLOR (no-color.org) and TERM=dumb are honoured; getenv is os.Getenv or a test's.
func Detect(w io.Writer, getenv func(string) string) Screen {
	s := Screen{Writer: w, Width: func() int { return defaultWidth }}
	f, ok := w.(*os.File)
	if !ok || !xterm.IsTerminal(f.Fd()) || getenv("TERM") == "dumb" {
		return s
	}
	s.Live = true
	s.Color = getenv("NO_COLOR") == ""
	s.Width = func() int {
		width, _, err := xterm.GetSize(f.Fd())
		if err != nil || width < 20 {
			return defaultWidth
		}
		return width
	}
	return s
}

// Ink is how a piece of text looks.
type Ink int

// The inks: the sixteen colours of every terminal, so that the person's own theme decides.
const (
	Plain Ink = iota
	Bold
	Dim
	Green
	Red
	Yellow
	Blue
)

// Paint is s in that ink, or s where colours are not wanted.
func (s Screen) Paint(ink Ink, text string) string {
	if !s.Color || ink == Plain || text == "" {
		return text
	}
	style := lipgloss.NewStyle()
	switch ink {
	case Bold:
		style = style.Bold(true)
	case Dim:
		style = style.Faint(true)
	case Green:
		style = style.Foreground(lipgloss.Green)
	case Red:
		style = style.Foreground(lipgloss.Red)
	case Yellow:
		style = style.Foreground(lipgloss.Yellow)
	case Blue:
		style = style.Foreground(lipgloss.Blue)
	}
	return style.Render(text)
}

// Mark says at the beginning of a line how something ended.
type Mark string

// The marks.
const (
	Pass    Mark = "✓"
	Fail    Mark = "✗"
	Unknown Mark = "?"
	Back    Mark = "↩" // taken back
	Note    Mark = "·"
)

// Mark is m in its colour.
func (s Screen) Mark(m Mark) string {
	inks := map[Mark]Ink{Pass: Green, Fail: Red, Unknown: Yellow, Back: Yellow, Note: Dim}
	return s.Paint(inks[m], string(m))
}
