package driver

import (
	"context"
	"strings"
	"time"
	"unicode"
)

// Printable is text for a person out of bytes that anybody may have made: one line, bounded, without control characters.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// What is remembered of the end of what a replica printed.
const (
	RememberBytes = 4 << 10
	RememberLines = 10
)

// LastLines are the last lines of what was printed, as a person may read them: bounded, without control characters or
// empty lines.
func LastLines(printed string) []string {
	var lines []string
	for line := range strings.Lines(printed) {
		if line = Printable(line, 400); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-RememberLines):]
}

// Sleep returns after that time, or with ctx's error when it ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
