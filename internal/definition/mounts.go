package definition

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/app"
)

// What a config may hold, and all of a definition's as services have them, in bytes: they stand in the release's document.
const (
	maxConfig  = 1 << 20
	maxConfigs = 4 << 20
)

// initScripts is where the official images of databases find what they run once.
const initScripts = "/docker-entrypoint-initdb.d"

// mountsOf are a container's volumes: those of the environment, files that travel, folders of the machine and of memory.
func (m *mapper) mountsOf(s *service) {
	c := s.out.Container
	var files []string
	for i, v := range s.Volumes {
		at := m.at("services", s.Name, "volumes", strconv.Itoa(i))
		target := path.Clean(filepath.ToSlash(v.Target))
		if !path.IsAbs(target) {
			m.report.fault(at, quote(clip(v.Target))+" is no absolute path", "write the folder in the container, as /data")
			continue
		}
		switch v.Type {
		case types.VolumeTypeVolume:
			m.volume(s, at, v, target)
		case types.VolumeTypeBind:
			if x, ok := m.bound(s, at, v, target); ok {
				c.Mounts = append(c.Mounts, x)
				if x.Files != "" {
					files = append(files, x.Files)
				}
			}
		case types.VolumeTypeTmpfs:
			t := app.Tmpfs{Target: target}
			if v.Tmpfs != nil {
				t.Size, t.Mode = max(0, int64(v.Tmpfs.Size)), v.Tmpfs.Mode
			}
			c.Tmpfs = append(c.Tmpfs, t)
		default:
			m.report.fault(at, fmt.Sprintf("a mount of type %s can't be had", v.Type), "use a named volume")
		}
	}
	s.out.Volumes = sortedUnique(s.out.Volumes)
	if len(files) > 0 {
		s.out.Build = &app.Build{Context: ".", Files: sortedUnique(files)}
	}
	for i, text := range s.Tmpfs {
		m.tmpfs(s, m.at("services", s.Name, "tmpfs", strconv.Itoa(i)), text)
	}
}

// volume is a named volume, which each environment has for itself.
func (m *mapper) volume(s *service, at place, v types.ServiceVolumeConfig, target string) {
	switch {
	case v.Source == "":
		m.report.notice(at, fmt.Sprintf("what %s writes to %s is gone with its container", s.Name, target), "name the volume if it is to stay, as data:"+target)
		return
	case !serviceNameForm.MatchString(v.Source):
		m.report.fault(at, quote(clip(v.Source))+" can't be a volume's name", "names are small letters, digits, - and _, begin with a letter and have at most 31 characters")
	case v.Volume != nil && v.Volume.Subpath != "":
		m.report.fault(at, "a part of a volume can't be mounted", "remove `subpath`, or make it a volume of its own")
	}
	s.out.Volumes = append(s.out.Volumes, v.Source)
	s.out.Container.Mounts = append(s.out.Container.Mounts, app.Mount{Volume: v.Source, Target: target, ReadOnly: v.ReadOnly})
}

// bound is a bind mount: of files of the repository that nobody writes to, which travel; or of the machine's, which walls
// tells of.
func (m *mapper) bound(s *service, at place, v types.ServiceVolumeConfig, target string) (app.Mount, bool) {
	rel, err := filepath.Rel(m.dir, v.Source)
	if err != nil || !filepath.IsLocal(rel) {
		if !strings.Contains(at.src.text(at.line), v.Source) { // it was not written so, and is another one elsewhere
			m.report.fault(at, fmt.Sprintf("%s would reach out of the repository, to what is somewhere else on another machine", s.Name), "use a named volume, or a file of the repository that is only read")
			return app.Mount{}, false
		}
		return app.Mount{Path: filepath.Clean(v.Source), Target: target, ReadOnly: v.ReadOnly}, true
	}
	name := filepath.ToSlash(rel)
	switch info, err := os.Stat(v.Source); {
	case v.ReadOnly:
	case err == nil && (info.Mode().IsRegular() || target == initScripts): // few write to one file, and none to those
		m.report.notice(at, fmt.Sprintf("%s can't write to %s, which travels with the release", s.Name, quote(name)), "end it in :ro, so that it is the same everywhere")
	default:
		m.report.fault(at, fmt.Sprintf("%s would write to %s, a part of the repository that is not where it runs", s.Name, quote(name)),
			"for data use a named volume, as data:"+target+"; files that are only read travel with the release when the mount ends in :ro")
		return app.Mount{}, false
	}
	if _, err := os.Lstat(v.Source); err != nil {
		m.report.fault(at, quote(clip(name))+" is not in the repository", "name a file or folder that is there")
		return app.Mount{}, false
	}
	return app.Mount{Files: name, Target: target, ReadOnly: true}, true
}

// tmpfs is a file system in memory in Compose's short form, /run:size=64m,mode=755.
func (m *mapper) tmpfs(s *service, at place, text string) {
	target, options, _ := strings.Cut(text, ":")
	if !path.IsAbs(target) {
		m.report.fault(at, quote(clip(target))+" is no absolute path", "write the folder in the container, as /tmp")
		return
	}
	t := app.Tmpfs{Target: path.Clean(target)}
	for _, option := range strings.FieldsFunc(options, func(r rune) bool { return r == ',' }) {
		key, value, _ := strings.Cut(option, "=")
		var wrong bool
		switch key {
		case "size":
			t.Size, wrong = unitBytes(value)
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 12)
			t.Mode, wrong = uint32(mode), err != nil
		case "rw":
		default:
			m.report.notice(at, fmt.Sprintf("%s of the file system at %s is not honoured", quote(clip(option)), target), "")
		}
		if wrong {
			m.report.fault(at, quote(clip(option))+" can't be read", "write it as size=64m or mode=1777")
		}
	}
	s.out.Container.Tmpfs = append(s.out.Container.Tmpfs, t)
}

// unitBytes reads a number of bytes in Compose's units.
func unitBytes(text string) (n int64, wrong bool) {
	var u types.UnitBytes
	err := u.DecodeMapstructure(text)
	return int64(u), err != nil || u < 0
}

// configFilesOf are a container's configs with what is in them.
func (m *mapper) configFilesOf(s *service) {
	for _, x := range s.Configs {
		at := m.mention(s.Name, "configs", x.Source)
		content, ok := m.config(x.Source)
		if !ok {
			continue
		}
		if m.configs += len(content); m.configs > maxConfigs {
			m.report.fault(at, fmt.Sprintf("the configs of all services are larger than %d bytes", maxConfigs), "mount large ones as files that are only read")
			return
		}
		f := app.ConfigFile{Name: x.Source, Target: inFolder("/", cmp.Or(x.Target, x.Source)), Content: content, Mode: modeOf(x.Mode)}
		f.UID, f.GID = m.owner(at, x.UID, x.GID)
		m.outsideMounts(s, at, "config "+x.Source, f.Target)
		s.out.Container.Configs = append(s.out.Container.Configs, f)
	}
}

// outsideMounts refuses a file that would be written into a volume or a folder of the machine, and stay there when its release is gone.
func (m *mapper) outsideMounts(s *service, at place, what, target string) {
	var folders []string
	for _, x := range s.out.Container.Mounts {
		folders = append(folders, x.Target)
	}
	stay := len(folders)
	for _, x := range s.out.Container.Tmpfs {
		folders = append(folders, x.Target)
	}
	deepest := app.Innermost(path.Dir(target), folders)
	if slices.Contains(folders[:stay], deepest) {
		m.report.fault(at, fmt.Sprintf("the %s of %s would be written into what is mounted at %s, and stay there", what, s.Name, deepest),
			"give it a target outside of "+deepest+", as /run/secrets/NAME, and tell the program where that is")
	}
}

// config is what is in one of Compose's configs. It is production's, and travels with the release.
func (m *mapper) config(name string) ([]byte, bool) {
	c := m.model.Configs[name]
	fault := func(key, what, instead string) ([]byte, bool) {
		m.report.fault(m.atKey("configs", name, key), what, instead)
		return nil, false
	}
	switch {
	case bool(c.External):
		return fault("external", fmt.Sprintf("the config %s is kept by an engine, and can't travel", name), "write `file: …` or `content: …`")
	case c.Environment != "":
		return fault("environment", fmt.Sprintf("the config %s comes from a variable of whoever loads it", name), "write `file: …` or `content: …`; a secret is named under `secrets:`")
	case c.File == "":
		if len(c.Content) > maxConfig {
			return fault("content", fmt.Sprintf("the config %s is larger than %d bytes", name, maxConfig), "mount it as a file that is only read")
		}
		return []byte(c.Content), true
	}
	rel, err := filepath.Rel(m.dir, c.File)
	if err != nil || !filepath.IsLocal(rel) {
		return fault("file", fmt.Sprintf("the config %s leads out of the repository", name), "name a file of the repository")
	}
	b, err := readInside(m.dir, rel, maxConfig)
	switch {
	case err != nil:
		return fault("file", fmt.Sprintf("the config %s can't be read: %s", name, cause(err)), "name a file of the repository")
	case len(b) > maxConfig:
		return fault("file", fmt.Sprintf("the config %s is larger than %d bytes", name, maxConfig), "mount it as a file that is only read")
	}
	return b, true
}

// writes says whether a container keeps data in a volume, in which two of its kind would meet.
func writes(c *app.Container) bool {
	return c != nil && slices.ContainsFunc(c.Mounts, func(x app.Mount) bool { return x.Volume != "" && !x.ReadOnly })
}

// readInside reads a file of the repository, and at most one byte more than limit. Links that lead out of it are not followed.
func readInside(dir, name string, limit int64) (b []byte, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // nothing was written
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err != nil {
		return nil, err
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, limit+1))
}
