package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/moby/moby/client"

	"greenroom/internal/app"
	"greenroom/internal/driver"
	"greenroom/internal/redact"
)

// The labels of what Greenroom made. By them alone it is found again: a name may be a stranger's.
const (
	labelHome        = "greenroom.home"
	labelApp         = "greenroom.app"
	labelEnvironment = "greenroom.environment"
	labelService     = "greenroom.service"
	labelRelease     = "greenroom.release"
	labelReplica     = "greenroom.replica" // its id, on containers and on the volumes that are one replica's
	labelRecord      = "greenroom.record"
	labelName        = "greenroom.name" // of a network or a volume, within its environment
)

// labels select by the given pairs, together with the home.
func (d *Driver) labels(pairs ...string) map[string]string {
	all := map[string]string{labelHome: d.home}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

// filters find what has these labels; an empty value matches every one.
func (d *Driver) filters(pairs ...string) client.Filters {
	f := client.Filters{}.Add("label", labelHome+"="+d.home)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			f.Add("label", pairs[i]+"="+pairs[i+1])
		}
	}
	return f
}

// has says whether labels are those of a thing of ours.
func has(got, want map[string]string) bool {
	for k, v := range want {
		if got[k] != v {
			return false
		}
	}
	return true
}

// named is a name in the Engine for a thing of this home. Homes that share an Engine never share a name.
func (d *Driver) named(parts ...string) string {
	sum := sha256.Sum256([]byte(d.home))
	return "greenroom-" + hex.EncodeToString(sum[:4]) + "." + strings.Join(parts, ".")
}

// record is what of a spec has to be known as long as its container is there, as a label. No secret is in it.
type record struct {
	Index   int                  `json:"index"`
	Listen  driver.Endpoint      `json:"listen"`
	Proxied bool                 `json:"proxied,omitempty"` // Listen is a published port
	Health  app.Health           `json:"health"`            // without the command, which is the container's healthcheck
	Command bool                 `json:"command,omitempty"`
	Stop    app.Stop             `json:"stop"`
	Restart driver.RestartPolicy `json:"restart"`
	Careful bool                 `json:"careful,omitempty"`
	Memory  int64                `json:"memory,omitempty"`
	Spec    string               `json:"spec"`
	Secrets []span               `json:"secrets,omitempty"`
	Files   []string             `json:"files,omitempty"` // where secrets are in the container
}

// span is where a secret stands in what the Engine keeps of a container anyway. So a driver that never saw the spec can
// take it out of what the container printed, and the secret is kept in no further place.
type span struct {
	Env  string `json:"env,omitempty"`
	Word int    `json:"word,omitempty"` // of the command, from 1
	At   int    `json:"at"`
	Len  int    `json:"len"`
	Form string `json:"form,omitempty"` // how it is escaped there: as in a path, a query, or not
}

// How a secret is escaped in an address.
const (
	inPath  = "path"
	inQuery = "query"
)

// written are the forms in which a secret may stand in a variable or a command.
func written(secret string) map[string]string {
	forms := map[string]string{secret: ""}
	for text, form := range map[string]string{
		url.PathEscape(secret): inPath, strings.TrimPrefix(url.UserPassword("", secret).String(), ":"): inPath, url.QueryEscape(secret): inQuery,
	} {
		if _, there := forms[text]; !there {
			forms[text] = form
		}
	}
	return forms
}

func (s span) of(env map[string]string, command []string) (string, bool) {
	text := env[s.Env]
	if s.Word != 0 {
		if s.Word < 0 || s.Word > len(command) {
			return "", false
		}
		text = command[s.Word-1]
	}
	if s.At < 0 || s.Len < 0 || s.At > len(text) || s.Len > len(text)-s.At {
		return "", false
	}
	text = text[s.At : s.At+s.Len]
	var err error
	switch s.Form {
	case inPath:
		text, err = url.PathUnescape(text)
	case inQuery:
		text, err = url.QueryUnescape(text)
	}
	return text, err == nil
}

// spans find the secrets of a spec in its environment and its command.
func spans(s driver.Spec) (found []span) {
	for _, secret := range s.SecretValues() {
		if len(secret) < redact.MinLength {
			continue
		}
		for text, form := range written(secret) {
			for name, value := range s.Env {
				if at := strings.Index(value, text); at >= 0 {
					found = append(found, span{Env: name, At: at, Len: len(text), Form: form})
				}
			}
			for i, word := range s.Command {
				if at := strings.Index(word, text); at >= 0 {
					found = append(found, span{Word: i + 1, At: at, Len: len(text), Form: form})
				}
			}
		}
	}
	return found
}

// recordOf makes the record of a spec that has its defaults.
func recordOf(s driver.Spec) (record, error) {
	digest, err := driver.SpecDigest(s)
	r := record{
		Index: s.Index, Listen: s.Listen, Proxied: published(s), Health: s.Health, Command: len(s.Health.Command) > 0, Stop: s.Stop,
		Restart: restartOf(s), Careful: s.Careful, Memory: s.Container.Resources.Memory, Spec: digest, Secrets: spans(s),
	}
	r.Health.Command = nil
	for _, f := range s.Container.Files {
		if f.Secret {
			r.Files = append(r.Files, f.Target)
		}
	}
	return r, err
}

// published says whether the replica is dialled at a port that the Engine publishes.
func published(s driver.Spec) bool {
	for _, p := range s.Container.Publish {
		if s.Listen.Network == "tcp" && strings.HasSuffix(s.Listen.Address, ":"+strconv.Itoa(int(p.Port))) {
			return true
		}
	}
	return false
}

func restartOf(s driver.Spec) driver.RestartPolicy {
	p := s.Container.RestartPolicy
	switch {
	case p.Name != "":
		return p
	case s.Restart: // with unless-stopped an older Engine takes its own death for somebody's wish to stop everything
		return driver.RestartPolicy{Name: "always"}
	}
	return driver.RestartPolicy{Name: "no"}
}

// labelsOf are a container's.
func (d *Driver) labelsOf(s driver.Spec, r record) (map[string]string, error) {
	text, err := json.Marshal(r)
	return d.labels(
		labelApp, s.App, labelEnvironment, s.Environment, labelService, s.Service, labelRelease, s.Release, labelReplica, s.ID,
		labelRecord, string(text)), err
}

// readRecord reads it back; a damaged one is that of a container of which nothing is known but that it is ours.
func readRecord(labels map[string]string) record {
	var r record
	_ = json.Unmarshal([]byte(labels[labelRecord]), &r) // Start and Stop clean up what has none
	return r
}
