//go:build race

package postgres

// raceFactor is how many times the memory of a program the race detector takes at most: its shadow of what was allocated.
const raceFactor = 5
