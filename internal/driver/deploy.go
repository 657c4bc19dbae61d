package driver

import (
	"regexp"
	"strings"
	"time"
)

// Deploy makes a spec that of a team's own deploy. Spec's own fields keep their meaning: Command is the deploy command,
// which runs once, to its end; without one nothing is deployed, and what is there is only asked after. Health.Command is the
// status command, which is asked from then on: exit code 0 says that the release is live, and Named reads its last line.
// Stop is how the deploy command's group is ended when its time is over or the replica is stopped meanwhile.
//
// What a deploy command leaves running is the team's own: nothing of it is adopted, restarted or killed.
type Deploy struct {
	Timeout     time.Duration `json:"timeout,omitempty"`      // of the deploy command; 0 is DeployTime
	Stop        []string      `json:"stop,omitempty"`         // takes away what was deployed when the replica is stopped; none: it stays
	StopTimeout time.Duration `json:"stop_timeout,omitempty"` // 0 is DeployTime
	Secrets     string        `json:"secrets,omitempty"`      // a fingerprint of the secrets that the commands get, for Status
	Once        bool          `json:"once,omitempty"`         // the first answer counts: a no is not asked again, in the hope of a yes
}

// DeployTime is how long a deploy command may take where nobody says.
const DeployTime = 10 * time.Minute

// releaseForm is a release as people and variables write it: the 12 digits of its short name, or its whole digest.
var releaseForm = regexp.MustCompile(`^(?i:sha256:)?([0-9a-fA-F]{12}|[0-9a-fA-F]{64})$`)

// Named is the release that the last line of a status command's output names, by its last word; "" where it names none.
func Named(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	m := releaseForm.FindStringSubmatch(words[len(words)-1])
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1])
}

// SameRelease says whether a name as Named reads it means the release of that digest.
func SameRelease(named, digest string) bool {
	return named != "" && strings.HasPrefix(strings.TrimPrefix(digest, "sha256:"), named)
}
