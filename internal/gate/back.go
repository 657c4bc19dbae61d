package gate

import (
	"fmt"

	"greenroom/internal/evidence"
	"greenroom/internal/release"
)

// WayBack says whether rehearsals of the live release showed that an earlier one works on the schema that it made, or why
// that is not known. The statements are about the live release, as Believed returns them. It judges as proof does: only a yes
// that was found under conditions that are those in force counts, and whatever is no yes hides every one before it.
func WayBack(statements []evidence.Statement, conditions string, to release.Digest) (works bool, why string) {
	why = "no rehearsal showed that it works on the new one"
	for _, s := range statements {
		r := s.Result
		if r.Check != Rollback || s.Environment != evidence.Stage || s.Baseline[release.PartRelease] != string(to) {
			continue
		}
		switch {
		case r.GoBack == nil:
			works, why = false, fmt.Sprintf("the rehearsal %s could not decide whether it works on the new one: %s", s.Run, r.Says())
		case !*r.GoBack:
			works, why = false, fmt.Sprintf("the rehearsal %s showed that it does not work on the new one: %s", s.Run, r.Says())
		case s.Policy == conditions:
			works, why = true, ""
		case !works:
			why = fmt.Sprintf("that it works on the new one was shown in %s, but the policy changed since", s.Run)
		}
	}
	return works, why
}
