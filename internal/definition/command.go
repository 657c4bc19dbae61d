package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"greenroom/internal/proc"
)

// command is what runs a service: x-greenroom's run, else Compose's entrypoint and command.
func (m *mapper) command(s *service) []string {
	run := s.own.Run
	switch {
	case run.Line && strings.TrimSpace(run.List[0]) == "", !run.Line && len(run.List) > 0 && run.List[0] == "":
		m.report.fault(m.at("services", s.Name, "x-greenroom", "run"), "the command is empty", "write what starts "+s.Name)
		return nil
	case run.Line:
		return proc.Shell(run.List[0])
	case len(run.List) > 0:
		return run.List
	}
	words := append(m.words(s.Name, "entrypoint"), m.words(s.Name, "command")...)
	if len(words) > 0 {
		return words
	}
	if s.Build != nil || strings.HasPrefix(s.Image, noImage) { // other images were told of already
		own := []string{"run: ./" + s.Name}
		what := s.Name + " has no command that a plain process could run"
		if s.Build != nil {
			what += ": its image's own is not known outside the image"
		}
		m.report.faultFix(m.atKey("services", s.Name), what, "add what starts it, as "+ownLine(own), fix{service: s.Name, own: own, command: true})
	}
	return nil
}

// words are a command of Compose in either form, with variables put in.
func (m *mapper) words(service, key string) []string {
	v, err := m.expandAll(m.merged(service)[key])
	var words types.ShellCommand
	if err == nil && v != nil {
		err = words.DecodeMapstructure(v)
	}
	if err != nil {
		m.report.fault(m.at("services", service, key), fmt.Sprintf("the %s can't be read: %s", key, clip(err.Error())), "")
	}
	return words
}

func sortedUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
