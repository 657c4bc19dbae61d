//go:build !linux

package process

// ephemeral is the range of ports that the kernel gives to outgoing connections, as IANA has it and macOS uses it.
func ephemeral() (low, high int) { return 49152, 65535 }
