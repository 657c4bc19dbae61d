// The entry point of the tests' image of PostgreSQL: what the official image's does with POSTGRES_USER, POSTGRES_PASSWORD
// and POSTGRES_DB, without a shell.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// postgres is the system user of the image.
const postgres = 999

const data = "/var/lib/postgresql/data"

func main() {
	bin := os.Args[1]
	user, database := os.Getenv("POSTGRES_USER"), os.Getenv("POSTGRES_DB")
	for _, dir := range []string{"/tmp", "/run/postgresql", data} {
		must(os.MkdirAll(filepath.Dir(dir), 0o755)) // through which the user has to pass
		must(os.MkdirAll(dir, 0o700))
		must(os.Chown(dir, postgres, postgres))
	}
	must(os.Chmod(data, 0o700))
	must(syscall.Setgroups(nil))
	must(syscall.Setgid(postgres))
	must(syscall.Setuid(postgres))
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		must(os.WriteFile("/tmp/password", []byte(os.Getenv("POSTGRES_PASSWORD")), 0o600))
		run(nil, bin+"/initdb", "-D", data, "-U", user, "--pwfile=/tmp/password", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale")
		f, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
		must(err)
		_, err = f.WriteString("host all all all scram-sha-256\n")
		must(err)
		must(f.Close())
		run([]byte("CREATE DATABASE \""+database+"\";\n"), bin+"/postgres", "--single", "-D", data, "postgres")
	}
	argv := append([]string{bin + "/postgres", "-D", data, "-c", "listen_addresses=*", "-c", "unix_socket_directories=/run/postgresql"}, os.Args[3:]...)
	must(syscall.Exec(argv[0], argv, os.Environ()))
}

func run(input []byte, argv ...string) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(err)
	must(cmd.Start())
	_, err = in.Write(input)
	must(err)
	must(in.Close())
	must(cmd.Wait())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
