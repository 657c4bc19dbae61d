package check

import (
	"strings"
	"unicode/utf8"

	"greenroom/internal/proc"
)

const (
	outputLimit = 64 << 10 // bytes of output in a result
	leftOut     = "[earlier output is left out]\n"
)

// tail keeps the end of what a check prints, however much that is: more than is shown, since escapes and secrets are
// taken out of it.
type tail struct {
	*proc.Tail
	secrets secrets
}

func newTail(s secrets) *tail { return &tail{proc.NewTail(outputLimit + s.longest), s} }

// text is the end of the output, without secrets and terminal escapes, at most outputLimit bytes.
func (t *tail) text() string {
	kept, cut := t.End()
	text := t.secrets.cleanPart(plain(string(kept)), cut, false)
	if !cut && len(text) <= outputLimit {
		return text
	}
	text = text[max(0, len(text)-outputLimit+len(leftOut)):]
	if i := strings.IndexByte(text, '\n'); i >= 0 && i < len(text)-1 {
		text = text[i+1:]
	}
	return leftOut + strings.ToValidUTF8(text, "")
}

// plain takes out of s what is not text: terminal escapes (ECMA-48: CSI and OSC sequences), control characters, bytes
// that are not UTF-8. A report is read on pages and terminals, which must not obey it.
func plain(s string) string {
	clean := strings.IndexFunc(s, isControl) < 0 && utf8.ValidString(s)
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if s[i] == 0x1b {
			i += escape(s[i:])
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r' && !strings.HasPrefix(s[i+1:], "\n"): // a progress line, written over itself
			b.WriteByte('\n')
		case !isControl(r):
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// isControl says whether r is a control character other than line feed and tab (C0, DEL, C1), or one that turns the
// direction of text around.
func isControl(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r < 0xa0:
		return true
	default:
		return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
}

// escape is the length of the escape sequence at the beginning of s.
func escape(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[': // parameters, then one final byte
		for i := 2; i < len(s); i++ {
			if s[i] < 0x20 || s[i] >= 0x40 {
				return i + 1
			}
		}
		return len(s)
	case ']': // text up to BEL or ESC \; not over a line's end, where a broken one would swallow everything
		for i := 2; i < len(s) && s[i] != '\n'; i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b {
				return min(i+2, len(s))
			}
		}
	}
	return 2
}
