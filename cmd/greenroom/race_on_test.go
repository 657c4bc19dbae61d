//go:build race

package main

import "runtime"

// races is how many the race detector has found in this process.
func races() int { return runtime.RaceErrors() }
