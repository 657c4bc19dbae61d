package drivertest

import (
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/human"
)

func healthTCP(b *bench) {
	s := b.web()
	s.Health = app.Health{TCP: true, Interval: 20 * time.Millisecond, Timeout: 10 * time.Second, Retries: 2, Start: time.Minute}
	b.startAndWait(s)
}

func healthCommand(b *bench) {
	s := b.spec("env:"+b.file("ready"), "stay")
	s.Env["MARK"] = "mine"
	s.Health = app.Health{
		Command:  []string{self(b.T), appName, "is:MARK=mine", "has:ready"}, // in the replica's folder, with its environment
		Interval: b.world.Ask, Timeout: 10 * time.Second, Retries: 2, Start: time.Minute,
	}
	b.startAndWait(s)

	s.ID = "never"
	s.Health.Command = []string{self(b.T), appName, "print:the pump is dry", "exit:4"}
	b.neverHealthy(s, "exit code 4", "the pump is dry")

	s.ID, s.Health.Timeout = "slow", b.world.Short/2
	s.Health.Command = []string{self(b.T), appName, "stay"}
	b.neverHealthy(s, "no answer within "+human.Duration(s.Health.Timeout))
}

func healthNone(b *bench) {
	if st := b.startAndWait(b.spec("stay")); st.PID == 0 {
		b.Errorf("status %+v", st)
	}
}

func sick(b *bench) {
	s := b.web("unwell:" + b.file("unwell"))
	st := b.startAndWait(s)
	b.touch("unwell")
	ill := b.until(s.ID, "unhealthy", func(st driver.Status) bool { return st.Phase == driver.Sick })
	if !strings.Contains(ill.Reason, "503") || !strings.Contains(ill.Reason, "not today") || ill.PID != st.PID {
		b.Errorf("an unhealthy replica has status %+v, want the answer as its reason and the same pid", ill)
	}
	b.waitFails(s.ID, "503")
	if err := os.Remove(b.file("unwell")); err != nil {
		b.Fatal(err)
	}
	b.until(s.ID, "healthy again", func(st driver.Status) bool { return st.Phase == driver.Healthy && st.Reason == "" })
}

func diesAfterHealthy(b *bench) {
	s := b.web()
	s.Command = append(s.Command[:len(s.Command)-1], "until:"+b.file("die"), "print:farewell", "exit:7")
	s.Restart = true
	first := b.startAndWait(s)
	b.touch("die")
	// What is there to be seen for a tenth of a second can be missed: each later end is the same.
	st := b.until(s.ID, "waiting", func(st driver.Status) bool { return st.Phase == driver.Backoff })
	if st.ExitCode != 7 || !strings.Contains(st.Reason, "farewell") || !st.Next.After(st.Since) || st.PID != 0 {
		b.Errorf("a replica that died has status %+v, want exit code 7, its last line, and when it is started again", st)
	}
	if err := os.Remove(b.file("die")); err != nil {
		b.Fatal(err)
	}
	st = b.until(s.ID, "healthy again", func(st driver.Status) bool { return st.Phase == driver.Healthy })
	if st.Restarts == 0 || st.PID == first.PID {
		b.Errorf("after a restart: %+v", st)
	}
}

func flaps(b *bench) {
	s := b.web("count:" + b.file("starts"))
	s.Command = append(s.Command[:len(s.Command)-1], "until:"+b.file("flap"), "exit:1")
	s.Restart = true
	b.startAndWait(s)
	b.touch("flap")
	var delays []time.Duration
	for seen := -1; len(delays) < 3; {
		st := b.until(s.ID, "waiting", func(st driver.Status) bool { return st.Phase == driver.Backoff && st.Restarts > seen })
		delays, seen = append(delays, st.Next.Sub(st.Since)), st.Restarts
	}
	if delays[0] <= 0 || delays[2] <= delays[0] {
		b.Errorf("it is started again after %v, want longer and longer", delays)
	}
	if err := os.Remove(b.file("flap")); err != nil {
		b.Fatal(err)
	}
	st := b.until(s.ID, "healthy", func(st driver.Status) bool { return st.Phase == driver.Healthy })
	if b.size("starts") != st.Restarts+1 {
		b.Errorf("%d restarts are counted, it was started %d times", st.Restarts, b.size("starts"))
	}
	b.wait(s.ID)
}

func neverHealthy(b *bench) {
	s := b.web("print:warming up", "unwell:"+b.touch("unwell"))
	b.neverHealthy(s, "GET /up answered 503", "not today", "warming up", s.Listen.Address)
	if st := b.status(s.ID); st.Phase != driver.Sick {
		b.Errorf("phase %s after its time, want %s", st.Phase, driver.Sick)
	}
}

func neverListens(b *bench) {
	s := b.web()
	s.Command = append(s.Command[:2], "print:thinking", "stay")
	s.Listen = b.port()
	b.neverHealthy(s, "connection refused", "thinking", s.Listen.Address)
}

func exits(b *bench) {
	for name, c := range map[string]struct {
		word string
		code int
		says string
	}{
		"zero":   {"exit:0", 0, "exit code 0"},
		"three":  {"exit:3", 3, "exit code 3"},
		"signal": {"die", -1, syscall.SIGKILL.String()},
	} {
		s := b.web()
		s.ID, s.Command = name, append(s.Command[:2], "print:so long", c.word)
		b.start(s)
		b.waitFails(s.ID, c.says, "so long")
		st := b.status(s.ID)
		if st.Phase != driver.Exited || st.ExitCode != c.code || st.PID != 0 || !strings.Contains(st.Reason, c.says) {
			b.Errorf("%s: status %+v, want exited with code %d", name, st, c.code)
		}
		if got := b.logs(s.ID, 0); got != "so long\n" {
			b.Errorf("%s: logs %q", name, got)
		}
	}
	s := b.web() // one that has ended is started anew
	s.ID = "three"
	b.startAndWait(s)
}

// What a replica leaves behind when it ends would keep its port and its files.
func exitsLeavingOthers(b *bench) {
	pids := b.folder("pids")
	s := b.spec("fork:"+pids, "daemon:"+pids, "until:"+b.file("die"), "exit:1")
	b.startAndWait(s)
	all := b.forked(pids, 2)
	b.touch("die")
	b.until(s.ID, "exited", func(st driver.Status) bool { return st.Phase == driver.Exited })
	b.wantGone(all...)
}

func crashLoop(b *bench) {
	s := b.web("print:no database", "exit:2")
	s.Restart = true
	b.start(s)
	b.waitFails(s.ID, "it ended", "times", "exit code 2", "no database")
}

func takenPort(b *bench) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's
	s := b.web()
	s.Listen = driver.Endpoint{Network: "tcp", Address: l.Addr().String()}
	s.Command = append(s.Command[:2], "serve:tcp:"+s.Listen.Address, "stay")
	b.startOrWaitFails(s, s.Listen.Address, "address already in use")

	// A stranger who answers must not be taken for a replica that only thinks.
	s.ID, s.Health.TCP, s.Health.HTTP, s.Health.Start = "thinker", true, "", b.world.Short
	s.Command = append(s.Command[:2], "stay")
	b.startOrWaitFails(s, s.Listen.Address, "taken")
}
