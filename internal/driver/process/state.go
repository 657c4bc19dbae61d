package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"greenroom/internal/atomicfile"
	"greenroom/internal/driver"
	"greenroom/internal/proc"
)

// state is what a supervisor tells of its replica, on its socket and in state.json. No secret is in it: of the Spec it
// has what driver.Status has, and neither the environment nor the command, whose words may hold a password.
type state struct {
	Status     driver.Status `json:"status"`
	Supervisor proc.Identity `json:"supervisor"`
	Child      proc.Identity `json:"child,omitzero"` // the last one that was started
	Failures   int           `json:"failures"`       // ends in a row without having been healthy
	Stopping   bool          `json:"stopping,omitempty"`
	Ending     bool          `json:"ending,omitempty"`  // a deploy command is being ended
	Refused    string        `json:"refused,omitempty"` // why a stop command failed
	Grace      time.Duration `json:"grace"`             // how long it is given to stop
	Last       string        `json:"last,omitempty"`    // the last lines it printed
}

const stateFile = "state.json"

func readState(folder string) (state, error) {
	var st state
	b, err := os.ReadFile(filepath.Join(folder, stateFile))
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, fmt.Errorf("%s: %w", filepath.Join(folder, stateFile), err)
	}
	return st, nil
}

func (st state) write(folder string) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(folder, stateFile), b, 0o600)
}

// look asks the supervisor, and reads the file where there is none or it is silent.
func (d *Driver) look(ctx context.Context, id string) (state, error) {
	if !driver.ValidID(id) {
		return state{}, driver.ErrNotFound
	}
	st, err := d.ask(ctx, id)
	if err == nil {
		return st, nil
	}
	if ctx.Err() != nil {
		return state{}, ctx.Err()
	}
	st, gone := d.recorded(id)
	if gone == nil && errors.Is(err, errSilent) {
		st.Status.Reason = "its supervisor does not answer"
	}
	return st, gone
}

// recorded reads what is known of a replica whose supervisor does not answer; driver.ErrNotFound when there is none.
func (d *Driver) recorded(id string) (state, error) {
	st, err := readState(d.folder(id))
	if errors.Is(err, fs.ErrNotExist) {
		return st, driver.ErrNotFound
	}
	if err != nil {
		// A damaged record is no reason to forget that something may run: it is shown, and Start and Stop clean up.
		st.Status = driver.Status{ID: id, Phase: driver.Exited, Lost: true, Reason: "its record is damaged: " + err.Error()}
		return st, nil
	}
	if st.Status.Phase == driver.Exited || st.Supervisor.Alive() {
		return st, nil
	}
	st.Status.Phase, st.Status.PID, st.Status.Next, st.Status.Lost = driver.Exited, 0, time.Time{}, true
	st.Status.Reason = "its supervisor died"
	if crash, err := os.ReadFile(filepath.Join(d.folder(id), crashFile)); err == nil && len(crash) > 0 {
		st.Status.Reason += ": " + driver.Printable(string(crash), 200)
	}
	if self, err := proc.Self(); err == nil && self.Boot != st.Supervisor.Boot {
		st.Status.Reason = "the machine was started anew"
	}
	return st, nil
}
