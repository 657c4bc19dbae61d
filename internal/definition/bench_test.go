package definition_test

import "testing"

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, _, err := load(b, "testdata/good/real-web-worker-proxy"); err != nil {
			b.Fatal(err)
		}
	}
}
