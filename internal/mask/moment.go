package mask

import (
	"bytes"
	"strconv"
)

// dateMask moves moments. Days are cut into windows as long as the shift, and a moment is permuted within its window: so
// different ones stay different, and none moves farther. One at midnight stays at midnight, and one at a full minute at a
// full minute, for a date that is kept as a timestamp stays one.
type dateMask struct {
	plainMask
	days  int64
	known []knownDay // by day; made when the first one comes
}

// knownDay is a day that was masked before. In a lifetime there are 25,000 of them, so most come again; each has one place, as
// in a memo.
type knownDay struct{ in, out int32 }

const knownDays = 1 << 15

func (w *worker) dates(r Rule) masker {
	n, err := r.days()
	if err != nil {
		panic("mask: a rule that was not checked: " + err.Error())
	}
	return &dateMask{plainMask: plainMask{w: w, k: w.keyed("date"), family: w.facts["date"]}, days: int64(n)}
}

const (
	daySeconds    = 24 * 60 * 60
	minuteSeconds = 60
)

// moment is a date, a date with a time, or a time, as ISO 8601 and PostgreSQL write them.
type moment struct {
	hasDay, hasTime bool
	day             int64  // since 1970-01-01
	year            int    // digits of the year
	between         byte   // ' ' or 'T'
	seconds         int64  // of the day
	noSeconds       bool   // 10:30
	fraction        []byte // digits behind the point
	rest            []byte // zone, BC
	bc              bool
}

// looksLikeMoment says whether a text is a date, with or without a time, that a database takes.
func looksLikeMoment(text []byte) bool {
	if len(text) < 10 || len(text) > 40 || text[4] != '-' {
		return false
	}
	m, ok := parseMoment(text)
	return ok && m.hasDay && !m.bc
}

func parseMoment(text []byte) (m moment, ok bool) {
	if m.bc = bytes.HasSuffix(text, []byte(" BC")); m.bc {
		text = text[:len(text)-3]
	}
	rest := text
	if bytes.IndexByte(rest, '-') >= 4 {
		rest, ok = m.parseDay(rest)
		if !ok || len(rest) == 0 {
			return m, ok
		}
		m.between, rest = rest[0], rest[1:]
		if m.between != ' ' && m.between != 'T' {
			return m, false
		}
	}
	rest, ok = m.parseTime(rest)
	m.rest = rest
	return m, ok && isZone(rest)
}

func (m *moment) parseDay(text []byte) (rest []byte, ok bool) {
	m.year = bytes.IndexByte(text, '-')
	if m.year > 6 || len(text) < m.year+6 || text[m.year+3] != '-' {
		return text, false
	}
	year, ok1 := small(text[:m.year])
	month, ok2 := small(text[m.year+1 : m.year+3])
	day, ok3 := small(text[m.year+4 : m.year+6])
	if m.bc {
		year = 1 - year
	}
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > monthDays(year, month) {
		return text, false
	}
	m.hasDay, m.day = true, dayNumber(year, month, day)
	return text[m.year+6:], true
}

func (m *moment) parseTime(text []byte) (rest []byte, ok bool) {
	if len(text) < 5 || text[2] != ':' {
		return text, false
	}
	hour, ok1 := small(text[:2])
	minute, ok2 := small(text[3:5])
	m.noSeconds = len(text) < 8 || text[5] != ':'
	var second int64
	ok3 := true
	rest = text[5:]
	if !m.noSeconds {
		second, ok3 = small(text[6:8])
		rest = text[8:]
	}
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
		return text, false
	}
	m.hasTime, m.seconds = true, hour*3600+minute*60+second
	if !m.noSeconds && len(rest) > 1 && rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		m.fraction, rest = rest[1:n], rest[n:]
	}
	return rest, true
}

// isZone says whether a text is nothing, Z, or an offset.
func isZone(text []byte) bool {
	if len(text) == 0 || len(text) == 1 && text[0] == 'Z' {
		return true
	}
	return len(text) >= 3 && len(text) <= 9 && (text[0] == '+' || text[0] == '-') && len(bytes.Trim(text[1:], "0123456789:")) == 0
}

// small reads at most nine digits.
func small(text []byte) (n int64, ok bool) {
	if len(text) == 0 || len(text) > 9 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func (m *dateMask) mask(dst, value []byte) []byte {
	at, ok := parseMoment(value)
	switch {
	case ok && at.hasTime:
		m.move(&at)
		return m.put(dst, at)
	case ok:
		at.day = m.day(at.day)
		return m.put(dst, at)
	case isEndless(value):
		return append(dst, value...)
	case len(value) >= 9 && len(value) <= 16 && allDigits(value) && value[0] != '0':
		return m.epoch(dst, value)
	}
	return m.plainMask.mask(dst, value)
}

func isEndless(value []byte) bool {
	return bytes.EqualFold(bytes.TrimLeft(value, "-"), []byte("infinity"))
}

// day moves a day. One that comes out as it went in is none that was masked before: there is no such.
func (m *dateMask) day(day int64) int64 {
	if m.known == nil {
		m.known = make([]knownDay, knownDays)
	}
	p := &m.known[uint64(day)%knownDays]
	if int64(p.in) == day && p.in != p.out {
		return int64(p.out)
	}
	out := m.within(day, m.days+1)
	p.in, p.out = int32(day), int32(out)
	return out
}

// within permutes a number among those of its window.
func (m *dateMask) within(x, window int64) int64 {
	n := floorDiv(x, window)
	return n*window + int64(m.k.index(tweak{uint64(n) << 32, uint64(window)}, uint64(x-n*window), uint64(window)))
}

// move moves a moment that has a time, in steps of what it is exact to.
func (m *dateMask) move(at *moment) {
	unit := at.exact()
	window := m.days * daySeconds / unit
	if !at.hasDay {
		if window = daySeconds / unit; unit == daySeconds { // midnight of no day
			return
		}
	}
	x := at.day*daySeconds + at.seconds
	if unit == daySeconds {
		window++
	}
	for {
		x = m.within(x/unit, window) * unit
		at.day = floorDiv(x, daySeconds)
		at.seconds = x - at.day*daySeconds
		if at.exact() == unit {
			return
		}
	}
}

// exact is the number of seconds that a moment is a multiple of: a day, a minute or one.
func (at *moment) exact() int64 {
	switch {
	case !at.full():
		return 1
	case at.seconds == 0:
		return daySeconds
	case at.seconds%minuteSeconds == 0:
		return minuteSeconds
	}
	return 1
}

func (m *dateMask) put(dst []byte, at moment) []byte {
	bc := at.bc
	if at.hasDay {
		year, month, day := civil(at.day)
		if bc = year < 1; bc {
			year = 1 - year
		}
		dst = padded(dst, year, at.year)
		dst = append(dst, '-')
		dst = padded(dst, month, 2)
		dst = append(dst, '-')
		dst = padded(dst, day, 2)
		if at.hasTime {
			dst = append(dst, at.between)
		}
	}
	if at.hasTime {
		dst = padded(dst, at.seconds/3600, 2)
		dst = append(dst, ':')
		dst = padded(dst, at.seconds/60%60, 2)
		if !at.noSeconds {
			dst = append(dst, ':')
			dst = padded(dst, at.seconds%60, 2)
		}
	}
	if len(at.fraction) > 0 {
		dst = append(dst, '.')
		dst = m.fraction(dst, at)
	}
	dst = append(dst, at.rest...)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// fraction adds to what stands behind the point what the moment's new second gives: so each second has its own, and they
// can be told apart as before. None stays none, as a full second is the same however it is written.
func (m *dateMask) fraction(dst []byte, at moment) []byte {
	n := len(at.fraction)
	if at.full() || n > mostDigits {
		return m.as(dst, at.fraction, tweak{0, 1}, asText)
	}
	units, most := uint64(0), uint64(1)
	for _, c := range at.fraction {
		units, most = units*10+uint64(c-'0'), most*10
	}
	m.k.ofSized(tweak{uint64(at.day*daySeconds + at.seconds), 1}, roundPick, nil, n)
	units = (units-1+m.k.below(most-1))%(most-1) + 1
	for most /= 10; most > 0; most /= 10 {
		dst = append(dst, '0'+byte(units/most%10))
	}
	return dst
}

// full says whether a moment has nothing behind the point but zeros.
func (at *moment) full() bool { return len(bytes.Trim(at.fraction, "0")) == 0 }

// epoch is for moments that are kept as seconds, or as parts of them, since 1970.
func (m *dateMask) epoch(dst, value []byte) []byte {
	seconds := 10
	if len(value) == 9 || len(value) == 12 || len(value) == 15 {
		seconds = 9
	}
	x, err := strconv.ParseInt(string(value[:seconds]), 10, 64)
	if err != nil {
		return m.plainMask.mask(dst, value)
	}
	window := m.days * daySeconds
	for begin := len(dst); ; {
		x = m.within(x, window)
		if dst = strconv.AppendInt(dst[:begin], x, 10); len(dst)-begin == seconds {
			break
		}
	}
	return m.as(dst, value[seconds:], tweak{0, 2}, asDigits)
}

func padded(dst []byte, n int64, width int) []byte {
	for tens := int64(10); width > 1; width-- {
		if n < tens {
			for range width - 1 {
				dst = append(dst, '0')
			}
			break
		}
		tens *= 10
	}
	return strconv.AppendInt(dst, n, 10)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// dayNumber counts days since 1970-01-01 in the calendar that databases reckon with at all times, years of 400 at once.
func dayNumber(year, month, day int64) int64 {
	if month <= 2 { // years begin in March, so that the leap day is the last
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	inEra := year - era*400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	return era*146097 + inEra*365 + inEra/4 - inEra/100 + dayOfYear - 719468
}

// civil is dayNumber turned round.
func civil(n int64) (year, month, day int64) {
	n += 719468
	era := floorDiv(n, 146097)
	dayOfEra := n - era*146097
	inEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*inEra + inEra/4 - inEra/100)
	month = (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*month+2)/5 + 1
	year, month = era*400+inEra, month+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

func monthDays(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
