package app

import "testing"

func TestInnermost(t *testing.T) {
	mounted := []string{"/data", "/data/memory", "/database", "/data/memory/deep/er"}
	for path, want := range map[string]string{
		"/": "", "/run": "", "/dat": "", "/data": "/data", "/data/x": "/data", "/data/memories": "/data", "/database/x": "/database",
		"/data/memory": "/data/memory", "/data/memory/deep": "/data/memory", "/data/memory/deep/er/still": "/data/memory/deep/er",
	} {
		if got := Innermost(path, mounted); got != want {
			t.Errorf("over %s is %q, want %q", path, got, want)
		}
		if want == "" {
			want = "/"
		}
		if got := Innermost(path, append([]string{"/"}, mounted...)); got != want {
			t.Errorf("with a root, over %s is %q, want %q", path, got, want)
		}
	}
	if got := Innermost("/data", nil); got != "" {
		t.Errorf("over nothing mounted is %q", got)
	}
}
