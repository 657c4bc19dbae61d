//go:build !linux

package edge

// holder cannot be found here.
func holder(string) string { return "" }
