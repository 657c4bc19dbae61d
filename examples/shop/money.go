package main

import "fmt"

// Cents is an amount of money. Whole cents: a float would lose one now and then.
type Cents int64

// String gives the amount as people write it, "€12.30".
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s€%d.%02d", sign, c/100, c%100)
}
