package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"greenroom/internal/driver"
	"greenroom/internal/problem"
	"greenroom/internal/redact"
)

// redactor takes a container's secrets out of what it printed. They are read from where the Engine keeps them anyway: the
// environment and the command that the container was made with, and the files that were put into it.
func (d *Driver) redactor(ctx context.Context, in container.InspectResponse, rec record) (*redact.Redactor, error) {
	env := map[string]string{}
	for _, e := range in.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	var secrets []string
	for _, s := range rec.Secrets {
		if secret, ok := s.of(env, in.Config.Cmd); ok {
			secrets = append(secrets, secret)
		}
	}
	for _, name := range rec.Files {
		secret, err := d.secretFile(ctx, in, name)
		if err != nil {
			return nil, failed(err, "what of the output of %s is a secret can't be read", in.Config.Labels[labelReplica])
		}
		secrets = append(secrets, strings.TrimSpace(secret)) // the end of its line is none
	}
	return redact.New(secrets...), nil
}

// secretFile is the content of a file that was put into a container, read once.
func (d *Driver) secretFile(ctx context.Context, in container.InspectResponse, name string) (string, error) {
	key := in.ID + name
	if content, ok := d.reads.file(key); ok {
		return content, nil
	}
	content, err := d.readSecretFile(ctx, in.ID, name)
	if err == nil {
		d.reads.remember(key, content)
	}
	return content, err
}

// cleaner takes secrets out of a text. Where they can't be read, nothing of the text is shown.
func (d *Driver) cleaner(ctx context.Context, in container.InspectResponse, rec record) func(string) string {
	return func(text string) string {
		r, err := d.redactor(ctx, in, rec)
		if err != nil {
			return "(what it says can't be cleaned of secrets now, so it is not shown)"
		}
		return r.String(text)
	}
}

// lastLines are the last lines that a container printed; none where they can't be read.
func (d *Driver) lastLines(ctx context.Context, in container.InspectResponse, rec record) []string {
	if in.State.Status == container.StateCreated {
		return nil
	}
	var out tail
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err := d.copyLogs(ctx, in, rec, client.ContainerLogsOptions{Tail: strconv.Itoa(driver.RememberLines)}, &out, nil)
	if err != nil && !errors.Is(err, errCut) {
		return nil
	}
	return driver.LastLines(out.String())
}

// tail keeps the end of what is written to it.
type tail struct {
	bytes.Buffer
	most int // bytes; 0 is driver.RememberBytes
}

func (t *tail) Write(p []byte) (int, error) {
	n, most := len(p), cmp.Or(t.most, driver.RememberBytes)
	if len(p) > most {
		p = p[len(p)-most:]
	}
	if over := t.Len() + len(p) - most; over > 0 {
		t.Next(over)
	}
	t.Buffer.Write(p)
	return n, nil
}

// Logs is driver.Driver's. When it follows, it goes on over restarts, and ends when the container is removed. The logs of
// those that were stopped last are still there, where Options name a folder for them.
func (d *Driver) Logs(ctx context.Context, id string, o driver.LogOptions, w io.Writer) error {
	if !driver.ValidID(id) {
		return driver.ErrNotFound
	}
	there, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	if len(there) == 0 {
		return d.keptLogs(id, o, w)
	}
	in, err := d.inspect(ctx, there[0].ID)
	if errdefs.IsNotFound(err) {
		return d.keptLogs(id, o, w)
	}
	if err != nil {
		return failed(err, "the logs of %s can't be read", id)
	}
	rec := readRecord(in.Config.Labels)
	options := client.ContainerLogsOptions{Follow: o.Follow}
	if o.Tail > 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Follow {
		err := d.copyLogs(ctx, in, rec, options, w, nil)
		if errors.Is(err, errCut) {
			return problem.New(problem.Unavailable, "the Docker Engine at %s went away while the logs of %s were read: what there is of them is not all", d.engine.host, id).
				WithHint("try again")
		}
		return err
	}
	return d.followLogs(ctx, in, rec, options, w)
}

// followLogs copies a container's output until ctx ends or the container is gone. The Engine ends it with each end of the
// container, and with its own. Then it goes on behind the last that came, which the Engine's times tell.
func (d *Driver) followLogs(ctx context.Context, in container.InspectResponse, rec record, o client.ContainerLogsOptions, w io.Writer) error {
	id, name := in.ID, in.Config.Labels[labelReplica]
	defer d.reads.begin(id)()
	news := d.follow(ctx, name)
	defer news.stop()
	last := ""
	for {
		o.Timestamps = true
		err := d.copyLogs(ctx, in, rec, o, w, &last)
		if errors.Is(err, driver.ErrNotFound) {
			return nil
		}
		if err != nil && !errors.Is(err, errCut) {
			return err
		}
		if err == nil {
			d.reads.reached(id)
		}
		for ran := in.State.StartedAt; ; {
			var gone error
			if in, gone = d.inspect(ctx, id); errdefs.IsNotFound(gone) {
				return nil
			} else if gone != nil {
				return failed(gone, "the logs of %s can't be read", name)
			}
			if err != nil || in.State.Running && !in.State.Restarting && in.State.StartedAt != ran {
				break
			}
			if err := news.next(ctx, time.Second); err != nil {
				return err
			}
		}
		if err == nil {
			d.reads.again(id)
		}
		if last != "" { // else nothing came yet, and all is still asked for
			o.Tail, o.Since = "", after(last)
		}
	}
}

// after is the Engine's next time after one that it told.
func after(stamp string) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return stamp
	}
	return t.Add(time.Nanosecond).Format(time.RFC3339Nano)
}

// stamped takes the Engine's time off each piece of output, and keeps the last. The Engine hands over a piece with one write.
type stamped struct {
	w    io.Writer
	last *string
}

func (s stamped) Write(p []byte) (int, error) {
	stamp, rest, ok := bytes.Cut(p, []byte{' '})
	if !ok {
		return len(p), nil
	}
	*s.last = string(stamp)
	if _, err := s.w.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// errCut says that the Engine went before it had told all of a log.
var errCut = errors.New("the Docker Engine went away")

// copyLogs copies what the Engine kept of a container's output, without its secrets. What came when the Engine went is copied, and
// the error is errCut. last, which goes with o.Timestamps, is told the time of the last piece.
func (d *Driver) copyLogs(ctx context.Context, in container.InspectResponse, rec record, o client.ContainerLogsOptions, w io.Writer, last *string) error {
	o.ShowStdout, o.ShowStderr = true, true
	r, err := d.redactor(ctx, in, rec)
	if err != nil {
		return err
	}
	var logs io.ReadCloser
	opened, cancel := context.WithCancel(ctx)
	defer cancel()
	err = d.engine.ask(ctx, func(one context.Context) error { // the stream outlives the asking
		stop := context.AfterFunc(one, func() {
			if logs == nil {
				cancel()
			}
		})
		defer stop()
		got, err := d.engine.ContainerLogs(opened, in.ID, o)
		logs = got
		return err
	})
	if errdefs.IsNotFound(err) || err != nil && strings.Contains(err.Error(), "dead or marked for removal") {
		return driver.ErrNotFound
	}
	if err != nil {
		return failed(err, "the logs of %s can't be read", in.Config.Labels[labelReplica])
	}
	defer logs.Close() //nolint:errcheck // read only
	clean := r.Writer(w)
	var out io.Writer = clean
	if last != nil {
		out = stamped{out, last}
	}
	_, err = stdcopy.StdCopy(out, out, logs)
	err = errors.Join(err, clean.Close())
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.ErrClosedPipe):
		return nil // the reader went
	case away(err):
		return errCut
	}
	return failed(err, "the logs of %s can't be read", in.Config.Labels[labelReplica])
}

// readers are those who follow logs now, and the secret files that were read.
type readers struct {
	mu     sync.Mutex
	files  map[string]string
	follow map[string]*following
}

// following is how many follow one container, and how many of them have copied all that it printed up to its end.
type following struct {
	readers, reached int
	changed          chan struct{}
}

func (r *readers) file(key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	content, ok := r.files[key]
	return content, ok
}

func (r *readers) remember(key, content string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[string]string{}
	}
	r.files[key] = content
}

func (r *readers) begin(id string) (end func()) {
	r.change(id, 1, 0)
	return func() { r.change(id, -1, 0) }
}

func (r *readers) reached(id string) { r.change(id, 0, 1) }

// again takes back reached: the container runs anew.
func (r *readers) again(id string) { r.change(id, 0, -1) }

func (r *readers) change(id string, readers, reached int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.follow == nil {
		r.follow = map[string]*following{}
	}
	f := r.follow[id]
	if f == nil {
		f = &following{changed: make(chan struct{})}
		r.follow[id] = f
	}
	f.readers += readers
	f.reached += reached
	close(f.changed)
	f.changed = make(chan struct{})
	if f.readers == 0 {
		delete(r.follow, id)
	}
}

// drainTime is how long those who follow are given to read the last lines, before the log is removed with its container.
const drainTime = 2 * time.Second

// drain returns when all who follow a container that has ended have read all of it.
func (r *readers) drain(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for {
		r.mu.Lock()
		f := r.follow[id]
		if f == nil || f.reached >= f.readers {
			r.mu.Unlock()
			return
		}
		changed := f.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// forget drops what was read of a container that is gone.
func (r *readers) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.files {
		if strings.HasPrefix(key, id) {
			delete(r.files, key)
		}
	}
}
