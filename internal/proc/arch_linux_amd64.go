package proc

import "golang.org/x/sys/unix"

// nativeArch is this architecture, as seccomp names it.
const nativeArch = unix.AUDIT_ARCH_X86_64
