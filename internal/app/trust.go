package app

// Right is something that a person may do, or not.
type Right string

// The rights.
const (
	RightBuild      Right = "build"       // bring releases, and the evidence that comes with them
	RightRehearse   Right = "rehearse"    // start rehearsals
	RightPromote    Right = "promote"     // start promotions
	RightRollback   Right = "rollback"    // go back, and stop a promotion
	RightOperate    Right = "operate"     // start and stop environments
	RightSecret     Right = "secret"      // set and remove secrets
	RightApply      Right = "apply"       // change the policy in force, and the keys
	RightBreakGlass Right = "break-glass" // promote past a no
)

// Rights are all of them.
var Rights = []Right{RightBuild, RightRehearse, RightPromote, RightRollback, RightOperate, RightSecret, RightApply, RightBreakGlass}

// Says completes "who may …".
func (r Right) Says() string {
	switch r {
	case RightBuild:
		return "bring releases, and the evidence that comes with them"
	case RightRehearse:
		return "start rehearsals"
	case RightPromote:
		return "start promotions"
	case RightRollback:
		return "go back to an earlier release, and stop a promotion"
	case RightOperate:
		return "start and stop environments"
	case RightSecret:
		return "set and remove secrets"
	case RightApply:
		return "change the policy in force, and the keys"
	case RightBreakGlass:
		return "promote past a no"
	}
	return string(r)
}

// TrustedKey is a key whose evidence counts, for what it may speak about.
type TrustedKey struct {
	Name         string   `json:"name"`                   // what people call it: staging, ci
	Public       string   `json:"public"`                 // "ed25519:" and the 32 bytes in base64
	Checks       []string `json:"checks,omitempty"`       // empty: all
	Environments []string `json:"environments,omitempty"` // environments, the stage "rehearsal", or "build"; empty: the stage and "build"
}

// The names that a trusted key may speak about beside the policy's own environments.
const (
	StageName = "rehearsal"      // the stage on which releases are rehearsed
	TrialName = "snapshot-trial" // the stage on which snapshots are tried
	BuildName = "build"          // where releases are built
)

// Speaks lists the environments that a key may speak about: those that it names, or else the stage and the build.
func (k TrustedKey) Speaks() []string {
	if len(k.Environments) == 0 {
		return []string{StageName, BuildName}
	}
	return k.Environments
}
