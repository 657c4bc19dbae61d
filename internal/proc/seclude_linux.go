package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockets are the folders in which the machine's servers have unix sockets that everybody can speak to. A network namespace
// is no hindrance to them: to resolve names over the network, asking systemd-resolved's socket would be enough.
var sockets = []string{"/run", "/var/run", "/var/lib/sss/pipes", "/var/lib/mysql", "/tmp/.X11-unix", "/tmp/.ICE-unix"}

// Seclude changes the calling thread, to which the goroutine must be locked for good: children that it starts from now on
// are in the network namespace that this file is, and have no way around it. They see nothing of the folders in which the
// machine's servers have their sockets, and get no sockets of kinds that belong to no namespace, as those to the host of a
// virtual machine do.
func Seclude(network string) error {
	if err := Enter(network); err != nil {
		return err
	}
	if err := hideSockets(); err != nil {
		return err
	}
	if err := filterFamilies(); err != nil {
		return fmt.Errorf("kinds of sockets can't be refused: %w", err)
	}
	return nil
}

func hideSockets() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	// What is mounted from now on is mounted for these children alone; what others unmount goes here too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	if err := LetGo(); err != nil {
		return err
	}
	for _, dir := range sockets {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() { // /var/run is a link to the other one
			continue
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,size=4k")
		}
		if err != nil {
			return fmt.Errorf("%s can't be hidden: %w", dir, err)
		}
	}
	return nil
}

// LetGo takes the files that stand for namespaces out of the calling thread's mount namespace, which must be its own. A copy of such a
// file keeps its namespace alive when its owner removes it elsewhere: of a container that was killed together with its Engine, the
// addresses would still be there, and answer in the place of those of the one that is started again.
func LetGo() error {
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if i := slices.Index(f, "-"); len(f) < 5 || i < 0 || f[i+1] != "nsfs" { // see proc_pid_mountinfo(5)
			continue
		}
		err := unix.Unmount(unescape.Replace(f[4]), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // it went meanwhile, or another one is over it
			return fmt.Errorf("%s: %w", f[4], err)
		}
	}
	return nil
}

// unescape makes paths of those in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// Where struct seccomp_data has what is asked for, see seccomp(2). The low half of an argument comes first on both.
const (
	atNumber = 0
	atArch   = 4
	atFamily = 16
)

// refuse is the answer of the filter that a call fails with this error.
func refuse(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

// filterFamilies lets the thread's children open no sockets but unix, IPv4, IPv6 and netlink, which a network namespace
// has for itself. What could go past that is refused, too: io_uring, which opens sockets unseen, and programs of another
// architecture, whose calls have other numbers.
func filterFamilies() error {
	if nativeArch == 0 {
		return errors.New("not known how on this architecture")
	}
	// The filter is no local variable: those move, and the kernel is told where it is.
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&families)), 0, 0) // #nosec G103 -- see above
}

// families is the program of filterFamilies.
var families = func() unix.SockFprog {
	const x32 = 0x40000000 // on amd64, a second set of numbers for the same calls
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	program := []unix.SockFilter{
		load(atArch),
		jump(unix.BPF_JEQ, nativeArch, 0, 3),
		load(atNumber),
		jump(unix.BPF_JGE, x32, 1, 0),
		jump(unix.BPF_JEQ, unix.SYS_IO_URING_SETUP, 0, 1),
		answer(refuse(unix.ENOSYS)),
		jump(unix.BPF_JEQ, unix.SYS_SOCKET, 0, 5),
		load(atFamily),
		jump(unix.BPF_JEQ, unix.AF_UNIX, 3, 0),
		jump(unix.BPF_JEQ, unix.AF_INET, 2, 0),
		jump(unix.BPF_JEQ, unix.AF_INET6, 1, 0),
		jump(unix.BPF_JEQ, unix.AF_NETLINK, 0, 1),
		answer(unix.SECCOMP_RET_ALLOW),
		answer(refuse(unix.EAFNOSUPPORT)),
	}
	return unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}()
