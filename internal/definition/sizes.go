package definition

import (
	"math/big"
	"regexp"
	"strings"
)

// byteUnits are the units of sizes and rates.
var byteUnits = map[string]int64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

var sizeForm = regexp.MustCompile(`^(\d{1,18}(?:\.\d{1,6})?) ?([A-Za-z]*)$`)

// size reads a number of bytes, as 100MB or 2GiB.
func size(s text) (bytes int64, what, instead string) {
	return bytesOf(string(s), "", "size", "write a number with a unit, as 100MB or 2GiB")
}

// rate reads a number of bytes a second, as 50MB/s.
func rate(s text) (bytes int64, what, instead string) {
	const forms = "write a size a second, as 50MB/s"
	number, ok := strings.CutSuffix(string(s), "/s")
	if n, wrong, _ := size(text(number)); !ok && wrong == "" {
		return n, quote(string(s)) + " is a size", "write " + quote(string(s)+"/s")
	}
	return bytesOf(number, "/s", "rate", forms)
}

// bytesOf reads the number and the unit of a size, or of a rate whose end is taken off.
func bytesOf(s, end, kind, forms string) (bytes int64, what, instead string) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, quote(clip(s+end)) + " is no " + kind, forms
	}
	unit, known := byteUnits[m[2]]
	switch {
	case m[2] == "":
		return 0, quote(s+end) + " has no unit", forms
	case !known:
		return 0, quote(s+end) + " has a unit that is none", unitMeant(m[1], m[2], end, forms)
	}
	n, ok := new(big.Rat).SetString(m[1])
	if !ok {
		return 0, quote(s+end) + " is no " + kind, forms
	}
	n.Mul(n, new(big.Rat).SetInt64(unit))
	if !n.IsInt() || !n.Num().IsInt64() {
		return 0, quote(s+end) + " is no whole number of bytes that there could be", forms
	}
	return n.Num().Int64(), "", ""
}

// unitMeant is the size with the units that differ from what was written in nothing but the case, or in a missing B.
func unitMeant(number, unit, end, forms string) string {
	for _, u := range []string{"kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"} {
		if strings.EqualFold(u, unit) {
			return "write " + quote(number+u+end)
		}
	}
	switch letter := strings.ToUpper(unit); letter {
	case "K", "M", "G", "T":
		return "write " + quote(number+strings.Replace(letter, "K", "k", 1)+"B"+end) + ", or " + quote(number+letter+"iB"+end) + " for powers of 1024"
	}
	return forms
}
