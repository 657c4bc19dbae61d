package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast holds every pair of colours that text is made of, in the light and in the dark, against WCAG 2.2's level AA:
// 4.5 for text, 3 for what is drawn.
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(style, "@media screen and (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("the style has no dark")
	}
	for name, vars := range map[string]map[string]string{"light": colours(light), "dark": colours(dark)} {
		for _, pair := range [][]string{
			{"ink", "paper"}, {"ink", "card"}, {"ink", "soft"}, {"quiet", "paper"}, {"quiet", "card"}, {"ink", "pass-wash"}, {"ink", "fail-wash"},
			{"ink", "unsure-wash"}, {"quiet", "pass-wash"}, {"quiet", "fail-wash"}, {"quiet", "unsure-wash"}, {"pass", "card"}, {"fail", "card"},
			{"unsure", "card"}, {"on", "pass"}, {"on", "fail"}, {"on", "unsure"},
		} {
			if got := contrast(t, vars[pair[0]], vars[pair[1]]); got < 4.5 {
				t.Errorf("%s: text in %s on %s has a contrast of %.2f", name, pair[0], pair[1], got)
			}
		}
		for _, drawn := range []string{"works", "all", "others", "queues-ink", "stands", "all-ink/all", "writes-ink/writes", "rows-ink/rows", "stands-ink/stands", "after"} {
			fore, back, _ := strings.Cut(drawn, "/")
			least := 3.0
			if back == "" {
				back = "card"
			} else {
				least = 1.5 // a pattern in a surface that is seen already
			}
			if got := contrast(t, vars[fore], vars[back]); got < least {
				t.Errorf("%s: %s on %s has a contrast of %.2f", name, fore, back, got)
			}
		}
	}
}

var declared = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]+)`)

// colours are those that a style sheet declares first.
func colours(css string) map[string]string {
	vars := map[string]string{}
	for _, m := range declared.FindAllStringSubmatch(css, -1) {
		if _, again := vars[m[1]]; !again {
			vars[m[1]] = m[2]
		}
	}
	return vars
}

// contrast is WCAG's: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	hex := strings.TrimPrefix(colour, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("%q is no colour", colour)
	}
	linear := func(c uint64) float64 {
		f := float64(c&0xff) / 255
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}
