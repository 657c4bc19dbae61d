package service

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// UnitStatus is what systemd knows of a unit.
type UnitStatus struct {
	Name     string
	State    string    // active, inactive, failed, activating; "not installed"
	Detail   string    // running, listening, dead
	Since    time.Time // zero where it never ran
	PID      int       // 0 where it has no process
	Restarts int       // by systemd, since it was started by a person
}

// Status asks systemd about every unit of Greenroom's.
func Status(ctx context.Context) ([]UnitStatus, error) {
	if err := Running(); err != nil {
		return nil, err
	}
	var all []UnitStatus
	for _, name := range []string{ControlPlane, Edge, EdgeHTTP, EdgeHTTPS, Replicas} {
		out, err := ask(ctx, "show", "--timestamp=unix", "--property=LoadState,ActiveState,SubState,ActiveEnterTimestamp,MainPID,NRestarts", name)
		if err != nil {
			return nil, err
		}
		all = append(all, unitStatus(name, out))
	}
	return all, nil
}

// unitStatus reads what systemctl show prints: NAME=VALUE, a line each.
func unitStatus(name, shown string) UnitStatus {
	u := UnitStatus{Name: name}
	for line := range strings.Lines(shown) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			if value == "not-found" {
				return UnitStatus{Name: name, State: "not installed"}
			}
		case "ActiveState":
			u.State = value
		case "SubState":
			u.Detail = value
		case "MainPID":
			u.PID, _ = strconv.Atoi(value)
		case "NRestarts":
			u.Restarts, _ = strconv.Atoi(value)
		case "ActiveEnterTimestamp":
			if s, err := strconv.ParseInt(strings.TrimPrefix(value, "@"), 10, 64); err == nil && s > 0 {
				u.Since = time.Unix(s, 0).UTC()
			}
		}
	}
	return u
}
