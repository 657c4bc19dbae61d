package drivertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/driver"
	"greenroom/internal/proc"
)

// appName is what the test program is called with to be the application that the suite runs.
const appName = "drivertest-app"

// Main makes this process the application under test when it was started as that, and does not return then. Every
// TestMain of a package that calls Run calls it first.
func Main() {
	if len(os.Args) > 1 && os.Args[1] == appName {
		act(os.Args[2:])
		os.Exit(0)
	}
}

// act does what the words say, one after the other. A word is a verb, or a verb, a colon and what it is about:
//
//	print:TEXT     prints a line
//	lines:N        prints N numbered lines
//	flood:BYTES    prints so many bytes; 0 is without end
//	eat:MIB        takes so much memory
//	env:FILE       writes its environment to the file
//	show:FILE      prints a file
//	link:FILE      prints where a link leads
//	may:FILE       prints r if it may be read, w if it may be written to, as a line that begins with the file's name
//	show-env:NAME  prints a variable
//	get:URL        asks for it and prints the status, or why there is none
//	count:FILE     appends a byte to the file
//	live:FOLDER    makes a file in the folder, and locks it as long as it lives
//	serve:NET:ADDR answers HTTP: 503 while the file named by unwell exists, 200 otherwise
//	unwell:FILE    see serve
//	on-term:FILE   from now on SIGTERM makes the file, and does not end it
//	bye            from now on SIGTERM and SIGINT make it print the signal's name, and end with code 0
//	fork:FOLDER    starts a grandchild in its group, which does live:FOLDER and stays
//	daemon:FOLDER  the same in a session of its own, whose parent ends at once
//	until:FILE     waits until the file exists
//	has:FILE       ends with code 1 if there is no such file
//	is:NAME=VALUE  ends with code 1 if its environment does not say so
//	pid:FILE       writes its process number to the file
//	runs:FILE      ends with code 1 if the process of that file does not run
//	up:NET:ADDR    ends with code 1 if GET /up is not answered well there
//	dials:NET:ADDR ends with code 1 if nobody accepts a connection there
//	end:GRACE      ends all others that have its mark, by SIGKILL after that time
//	exit:CODE      ends
//	die            ends by SIGKILL
//	stay           stays for ever
func act(words []string) {
	unwell := ""
	for _, word := range words {
		verb, what, _ := strings.Cut(word, ":")
		switch verb {
		case "print":
			fmt.Println(what)
		case "lines":
			printLines(number(what))
		case "flood":
			flood(number(what))
		case "eat":
			for range number(what) {
				eaten = append(eaten, bytes.Repeat([]byte{1}, 1<<20))
			}
		case "env":
			tellEnvironment(what)
		case "show":
			show(what)
		case "link":
			leads, err := os.Readlink(what)
			must(err)
			fmt.Println(leads)
		case "may":
			may(what)
		case "show-env":
			fmt.Println(os.Getenv(what))
		case "get":
			get(what)
		case "count":
			count(what)
		case "live":
			live(what)
		case "unwell":
			unwell = what
		case "serve":
			serve(what, unwell)
		case "on-term":
			onTerm(what)
		case "bye":
			sayBye()
		case "fork":
			grandchild([]string{"live:" + what, "stay"}, &syscall.SysProcAttr{})
		case "daemon":
			grandchild([]string{"fork:" + what}, &syscall.SysProcAttr{Setsid: true})
		case "until":
			for !exists(what) {
				time.Sleep(2 * time.Millisecond)
			}
		case "has":
			if !exists(what) {
				os.Exit(1)
			}
		case "is":
			if name, value, _ := strings.Cut(what, "="); os.Getenv(name) != value {
				os.Exit(1)
			}
		case "pid":
			must(os.WriteFile(what, []byte(strconv.Itoa(os.Getpid())), 0o600))
		case "runs":
			runs(what)
		case "up", "dials":
			ask(what, verb == "up")
		case "end":
			grace, err := time.ParseDuration(what)
			must(err)
			endOthers(grace)
		case "exit":
			os.Exit(number(what))
		case "die":
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		case "stay":
			for {
				time.Sleep(time.Hour)
			}
		default:
			must(fmt.Errorf("unknown word %q", word))
		}
	}
}

func tellEnvironment(file string) {
	must(os.WriteFile(file+".new", []byte(strings.Join(os.Environ(), "\x00")), 0o600))
	must(os.Rename(file+".new", file))
}

func show(file string) {
	text, err := os.ReadFile(file)
	must(err)
	_, err = os.Stdout.Write(text)
	must(err)
}

func count(file string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(err)
	_, err = f.Write([]byte{'.'})
	must(err)
	must(f.Close())
}

func onTerm(file string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		must(os.WriteFile(file, nil, 0o600))
	}()
}

func runs(file string) {
	if id, err := os.ReadFile(file); err != nil || syscall.Kill(number(string(id)), 0) != nil {
		fmt.Println("it does not run")
		os.Exit(1)
	}
}

func may(file string) {
	rights := ""
	for right, flag := range map[string]int{"r": os.O_RDONLY, "w": os.O_WRONLY} {
		if f, err := os.OpenFile(file, flag, 0); err == nil {
			rights += right
			must(f.Close())
		}
	}
	fmt.Println(file, rights)
}

func printLines(n int) {
	_, err := os.Stdout.Write(numbered(1, n))
	must(err)
}

// numbered are the lines with the numbers from first to last, of 14 bytes each.
func numbered(first, last int) []byte {
	var b []byte
	for i := first; i <= last; i++ {
		b = append(b, "line "...)
		b = append(b, strconv.Itoa(1e8 + i)[1:]...)
		b = append(b, '\n')
	}
	return b
}

func flood(n int) {
	line := bytes.Repeat([]byte(strings.Repeat("x", 127)+"\n"), 512)
	for printed := 0; n == 0 || printed < n; {
		m, err := os.Stdout.Write(line)
		must(err)
		printed += m
	}
}

func serve(what, unwell string) {
	network, address, _ := strings.Cut(what, ":")
	if network == "unix" { // a name may be longer than the kernel takes
		must(os.Chdir(filepath.Dir(address)))
		address = filepath.Base(address)
		_ = os.Remove(address)
	}
	l, err := net.Listen(network, address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() {
		must(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if unwell != "" && exists(unwell) {
				http.Error(w, "not today", http.StatusServiceUnavailable)
				return
			}
			_, _ = fmt.Fprintln(w, os.Getpid()) // the asker may be gone
		})))
	}()
}

var eaten [][]byte

// lifelines are the files that live keeps open and locked.
var lifelines []*os.File

func live(folder string) {
	f, err := os.CreateTemp(folder, "*")
	must(err)
	must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	lifelines = append(lifelines, f)
}

func get(url string) {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = res.Body.Close()
	fmt.Println(res.Status)
}

// ask asks a replica after its health, as a driver does.
func ask(what string, http bool) {
	network, address, _ := strings.Cut(what, ":")
	s := driver.Spec{Listen: driver.Endpoint{Network: network, Address: address}}
	if http {
		s.Health.HTTP = "/up"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := driver.NetworkProbe(s, strings.Clone)(ctx); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// endOthers ends all who have this process's mark, until there is none.
func endOthers(grace time.Duration) {
	for deadline := time.Now().Add(grace); ; time.Sleep(2 * time.Millisecond) {
		all, err := proc.Marked(driver.Marker + "=" + os.Getenv(driver.Marker))
		must(err)
		all = slices.DeleteFunc(all, func(p proc.Identity) bool { return p.PID == os.Getpid() })
		if len(all) == 0 {
			return
		}
		for _, p := range all {
			if time.Now().Before(deadline) {
				_ = p.Signal(syscall.SIGTERM)
			} else {
				_ = p.Signal(syscall.SIGKILL)
			}
		}
	}
}

func sayBye() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		fmt.Println("bye,", <-asked)
		os.Exit(0)
	}()
}

func grandchild(words []string, attr *syscall.SysProcAttr) {
	cmd := exec.Command(os.Args[0], append([]string{appName}, words...)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, attr
	must(cmd.Start())
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, appName+":", err)
		os.Exit(97)
	}
}
