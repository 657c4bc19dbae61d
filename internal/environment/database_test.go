package environment

import "testing"

func TestTagOf(t *testing.T) {
	for image, want := range map[string]string{
		"postgres": "", "postgres:16": "16", "postgres:16-alpine": "16-alpine", "postgres:16.4@sha256:0a1b": "16.4",
		"localhost:5000/library/postgres": "", "localhost:5000/library/postgres:15": "15", "": "",
	} {
		if got := tagOf(image); got != want {
			t.Errorf("of %q it is %q, want %q", image, got, want)
		}
	}
}
