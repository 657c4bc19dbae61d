package driver

import "testing"

func TestNamed(t *testing.T) {
	const whole = "sha256:0123456789ab0000000000000000000000000000000000000000000000000000"
	for line, want := range map[string]string{
		"":                                 "",
		"live":                             "",
		"0123456789ab":                     "0123456789ab",
		"release 0123456789ab":             "0123456789ab",
		"  it is sha256:0123456789ab ":     "0123456789ab",
		whole:                              whole[7:],
		"0123456789AB":                     "0123456789ab",
		"SHA256:0123456789AB":              "0123456789ab",
		"0123456789ab and more":            "",
		"0123456789abc":                    "",
		"da39a3ee5e6b4b0d3255bfef95601890": "", // a digest of something else
	} {
		if got := Named(line); got != want {
			t.Errorf("Named(%q) = %q, want %q", line, got, want)
		}
	}
	for named, want := range map[string]bool{"0123456789ab": true, whole[7:]: true, "": false, "ab0123456789": false} {
		if SameRelease(named, whole) != want {
			t.Errorf("SameRelease(%q) is not %v", named, want)
		}
	}
}

func FuzzNamed(f *testing.F) {
	f.Add("release 0123456789ab")
	f.Fuzz(func(t *testing.T, line string) {
		if n := Named(line); n != "" && (len(n) != 12 && len(n) != 64 || !SameRelease(n, "sha256:"+n)) {
			t.Errorf("Named(%q) = %q", line, n)
		}
	})
}
