package drivertest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// AwaitLine returns once a program has printed a line that has want in it, and reads on whatever it prints after that. An error
// has all that it printed before it ended.
func AwaitLine(output io.Reader, want string) error {
	said, lines := "", bufio.NewReader(output)
	for !strings.Contains(said, want) {
		line, err := lines.ReadString('\n')
		if said += line; err != nil {
			return fmt.Errorf("it ended and never said %q: %w: %s", want, err, said)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until it is waited for
	return nil
}
