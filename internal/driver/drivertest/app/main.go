// Command app is the application that the suite runs, as a program of its own: for a driver whose replicas can't run the
// test program itself.
package main

import "greenroom/internal/driver/drivertest"

func main() { drivertest.Main() }
