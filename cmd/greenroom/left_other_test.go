//go:build !linux

package main

// endLeft knows no processes here; that nothing is left behind is shown on Linux.
func endLeft(string) []string { return nil }
