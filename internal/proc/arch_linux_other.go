//go:build linux && !amd64 && !arm64

package proc

// nativeArch is not known.
const nativeArch = 0
