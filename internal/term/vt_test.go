package term

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// vt is as much of a terminal as Progress uses: it keeps the lines that a person would see. Colours are dropped.
type vt struct {
	width int
	lines []string
	row   int
	col   int
}

func (v *vt) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if rest[0] == 0x1b {
			rest = rest[v.escape(rest):]
			continue
		}
		r, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		switch r {
		case '\r':
			v.col = 0
		case '\n':
			v.row, v.col = v.row+1, 0
		default:
			v.put(r)
		}
	}
	return len(b), nil
}

// escape carries out the sequence at the beginning of b and returns its length.
func (v *vt) escape(b []byte) int {
	end := 2
	for end < len(b) && (b[end] < 0x40 || b[end] > 0x7e) {
		end++
	}
	args, final := string(b[2:end]), b[end]
	switch final {
	case 'A':
		n := 1
		if _, err := fmt.Sscanf(args, "%d", &n); err != nil {
			panic(err)
		}
		if n > v.row {
			panic("the cursor leaves the screen")
		}
		v.row -= n
	case 'J':
		v.lines = v.lines[:min(v.row, len(v.lines))]
	case 'm':
	default:
		panic(fmt.Sprintf("a sequence that nobody should send: %q", b[:end+1]))
	}
	return end + 1
}

func (v *vt) put(r rune) {
	if v.col >= v.width {
		v.row, v.col = v.row+1, 0
	}
	for len(v.lines) <= v.row {
		v.lines = append(v.lines, "")
	}
	line := []rune(v.lines[v.row])
	for len(line) <= v.col {
		line = append(line, ' ')
	}
	line[v.col] = r
	v.lines[v.row] = string(line)
	v.col++
}

func (v *vt) String() string { return strings.Join(v.lines, "\n") }
