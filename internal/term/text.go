package term

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"

	"greenroom/internal/human"
)

// Clean makes text from outside (names, outputs, branches) safe to print on one line: every control character becomes
// a visible one, so that nothing moves the cursor, sets the title or answers in the person's name. Characters that
// reverse or hide text (bidirectional controls, Unicode TR 36) are shown as well.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case hidden(r):
			return '�'
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "�"))
}

// CleanBlock is Clean for text of several lines: ends of lines and tabs stay.
func CleanBlock(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case r == '\r':
			return '\n'
		case hidden(r):
			return '�'
		default:
			return r
		}
	}, strings.ToValidUTF8(s, "�"))
}

func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// Duration tells a time: "1 min 20 s".
func Duration(d time.Duration) string { return human.Duration(d) }

// Number groups digits: 12,345.
func Number(n int64) string { return human.Number(n) }

// Count is a number with its noun.
func Count(n int, one, many string) string { return human.Count(n, one, many) }

// elapsed is Duration for a clock that runs: in tenths of a second at first.
func elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", max(d, 0).Truncate(100*time.Millisecond).Seconds())
	}
	return Duration(d)
}

// Fit cuts s, which may be painted, to width cells.
func Fit(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	if width < 2 {
		return ""
	}
	return lipgloss.NewStyle().MaxWidth(width-1).Render(s) + "…"
}

// Width is how many cells s takes, which may be painted.
func Width(s string) int { return lipgloss.Width(s) }

// Pad fills s up to width cells.
func Pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-Width(s))) }

// between is how many cells are between two columns.
const between = 2

// Columns aligns rows: each column is as wide as its widest cell, two spaces apart, nothing behind the last cell.
// Cells may be painted.
func Columns(indent string, rows [][]string) string {
	widths := widthsOf(rows)
	var b strings.Builder
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += Pad(cell, widths[i]+between)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// widthsOf is how wide each column of rows is.
func widthsOf(rows [][]string) (widths []int) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	return widths
}

// Broad is how many cells Columns needs for a line at most.
func Broad(rows [][]string) int { return broad(widthsOf(rows)) }

func broad(widths []int) int {
	sum := between * max(0, len(widths)-1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// leastColumn is how many cells Narrow leaves to a column.
const leastColumn = 5

// Narrow cuts cells of these columns, always in the widest of them, until Columns needs no more than width cells for a line, or
// nothing more can be cut: every one of them keeps a few cells.
func Narrow(rows [][]string, width int, columns ...int) [][]string {
	widths := widthsOf(rows)
	for broad(widths) > width {
		widest := slices.MaxFunc(columns, func(a, b int) int { return cmp.Compare(widths[a], widths[b]) })
		if widths[widest] <= leastColumn {
			break
		}
		widths[widest]--
	}
	narrow := make([][]string, len(rows))
	for i, row := range rows {
		narrow[i] = slices.Clone(row)
		for _, c := range columns {
			if c < len(row) {
				narrow[i][c] = Fit(row[c], widths[c])
			}
		}
	}
	return narrow
}

// Indent puts prefix before every line of s, and an end of line behind the last.
func Indent(prefix, s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(s, "\n")) {
		b.WriteString(strings.TrimRight(prefix+strings.TrimRight(line, "\n"), " ") + "\n")
	}
	return b.String()
}

// units are what stands on the line of its number.
var units = regexp.MustCompile(`(\d) (ms|s|min|h|days|B|kB|MB|GB|TB)\b`)

// glue stands between a number and its unit while lines are broken. It is in no text that a terminal is shown.
const glue = "\x00"

// Wrap breaks text between words into lines of at most width cells; a longer word has a line of its own, and a number
// keeps its unit. There is always a line.
func Wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(units.ReplaceAllString(text, "$1"+glue+"$2")) {
		word = strings.ReplaceAll(word, glue, " ")
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case Width(*last)+1+Width(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// words are a text's words, with the spaces before them.
var words = regexp.MustCompile(`( *)([^ ]+)`)

// Fold breaks those lines of a text, which may be painted, that are wider than width between words. What goes on below begins
// where its line's text did, behind a mark. Other than Wrap it leaves the spaces between words as they are.
func Fold(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if rest := strings.TrimSuffix(line, "\n"); Width(rest) > width {
			line = fold(rest, width) + line[len(rest):]
		}
		b.WriteString(line)
	}
	return b.String()
}

func fold(line string, width int) string {
	found := words.FindAllStringSubmatch(units.ReplaceAllString(line, "$1"+glue+"$2"), -1)
	if len(found) == 0 {
		return line
	}
	indent := len(found[0][1])
	if Width(found[0][2]) == 1 {
		indent += 2
	}
	indent = min(indent, width/2)
	done, last := "", ""
	for i, w := range found {
		spaces, word := w[1], strings.ReplaceAll(w[2], glue, " ")
		if i > 0 && Width(last)+len(spaces)+Width(word) > width {
			done += last + "\n"
			last, spaces = strings.Repeat(" ", indent), ""
		}
		last += spaces + word
	}
	return done + last
}
