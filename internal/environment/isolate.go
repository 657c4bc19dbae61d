package environment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"greenroom/internal/account"
	"greenroom/internal/evidence"
	"greenroom/internal/netns"
	"greenroom/internal/proc"
	"greenroom/internal/release"
)

// Isolate gives a stage that is to hold production's data a network of its own, and proves from inside, as the stage's own
// user, that nothing can be reached from there. It is called before the data is let in, while nothing of the stage runs
// yet. A problem of code Blocked says that the data must stay away: the stage is not isolated, or that could not be
// decided, and the definition does not accept it. A stage without production's data is not asked: then asked is false.
func (e *Environment) Isolate(ctx context.Context) (proof evidence.Isolation, asked bool, err error) {
	return e.isolation(ctx, nil)
}

// Prove is Isolate once more, while services of a release run: they must be reached, and nothing else.
func (e *Environment) Prove(ctx context.Context, r release.Release) (proof evidence.Isolation, asked bool, err error) {
	return e.isolation(ctx, &r)
}

func (e *Environment) isolation(ctx context.Context, running *release.Release) (proof evidence.Isolation, asked bool, err error) {
	if secluded, err := e.secluded(); err != nil || !secluded {
		return proof, false, err
	}
	err = e.ensureNetwork(ctx)
	var none noNetwork
	switch {
	case errors.As(err, &none):
		proof.Because = none.Error()
	case err != nil:
		return proof, true, err
	default:
		if proof, err = e.test(ctx, running); err != nil {
			return proof, true, err
		}
	}
	if proof.Isolated {
		return proof, true, nil
	}
	e.world.Log.Warn("not isolated", "environment", e.RouteName(), "because", proof.Because)
	if proof.Accepted = e.accepted(); proof.Accepted == "" {
		return proof, true, e.refused(proof.Because)
	}
	return proof, true, nil
}

// test runs the self-test. Its error is for a test that was interrupted; one that could not be run proves nothing.
func (e *Environment) test(ctx context.Context, running *release.Release) (evidence.Isolation, error) {
	u, err := e.resident()
	if err != nil {
		return evidence.Isolation{}, err
	}
	attempts, answers, err := e.try(ctx, u, running)
	if ctx.Err() != nil {
		return evidence.Isolation{}, ctx.Err()
	}
	if err != nil {
		return evidence.Isolation{Because: fmt.Sprintf("the self-test from inside proves nothing: %v", err)}, nil
	}
	advise(attempts, answers.Answers)
	proof := judge(attempts, answers)
	walled, err := e.testWalls(ctx, u)
	return together(proof, walled), err
}

func (e *Environment) try(ctx context.Context, u account.User, running *release.Release) ([]attempt, netns.Answers, error) {
	s, err := e.survey(ctx, running)
	if err != nil {
		return nil, netns.Answers{}, err
	}
	defer s.close()
	answers, err := e.probe(ctx, e.namespace().File(), u, s.tries())
	if err == nil && answers.Fault != "" {
		err = errors.New(answers.Fault)
	}
	return s.attempts, answers, err
}

// probeTime bounds the self-test: some tries at once, each bounded too.
const probeTime = 30 * time.Second

// probe has everything tried from inside a network namespace.
func (e *Environment) probe(ctx context.Context, network string, u account.User, tries []netns.Try) (answers netns.Answers, err error) {
	question, err := json.Marshal(netns.Question{UID: u.UID, GID: u.GID, Tries: tries})
	if err != nil {
		return answers, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	env, sweep := e.world.marked(map[string]string{"PATH": defaultPath})
	defer sweep()
	var out bytes.Buffer
	printed := proc.NewTail(1 << 10)
	exit, err := proc.Run(ctx, proc.Command{
		Argv: e.world.inside("probe"), Dir: "/", Env: list(env), Stdin: bytes.NewReader(question), Stdout: &out, Stderr: printed,
		Network: network,
	})
	if err == nil && !exit.OK() {
		err = fmt.Errorf("%s: %s", exit, strings.Join(printed.Lines(3), "; "))
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &answers)
	}
	if err == nil && len(answers.Answers) != len(tries) {
		err = errors.New("it did not answer everything")
	}
	return answers, err
}

// judge makes of what was tried and what came of it a proof, or the reason why there is none.
func judge(attempts []attempt, answers netns.Answers) evidence.Isolation {
	return proven(append([]evidence.Fact{inPlace(answers)}, found(attempts, answers)...))
}

// found are the facts of what was tried. Those of a kind that show the same are one.
func found(attempts []attempt, answers netns.Answers) []evidence.Fact {
	var all []evidence.Fact
	for i, a := range attempts {
		f := evidence.Fact{What: a.kind.what, Tried: a.tried(), Count: 1}
		f.Verdict, f.Found = a.kind.judge(answers.Answers[i])
		if f.Verdict != evidence.Pass && a.remedy != "" {
			f.Found += ": " + a.remedy
		}
		all = append(all, f)
	}
	return all
}

// together is one proof of several.
func together(proofs ...evidence.Isolation) evidence.Isolation {
	var facts []evidence.Fact
	for _, p := range proofs {
		if !p.Isolated && len(p.Facts) == 0 { // nothing could be tried
			return p
		}
		facts = append(facts, p.Facts...)
	}
	return proven(facts)
}

// proven makes a proof of facts, or the reason why there is none.
func proven(facts []evidence.Fact) evidence.Isolation {
	var proof evidence.Isolation
	same := map[[2]string]int{} // a machine has hundreds of sockets, all of which are closed
	for _, f := range facts {
		key := [2]string{f.What, f.Found}
		if at, ok := same[key]; ok && f.Verdict == evidence.Pass {
			proof.Facts[at].Count += f.Count
			continue
		}
		same[key] = len(proof.Facts)
		proof.Facts = append(proof.Facts, f)
	}
	faults := proof.Faults()
	proof.Isolated = len(faults) == 0
	if !proof.Isolated {
		proof.Because = "from inside, " + listed(faults)
	}
	return proof
}

// listedFaults is how many of what was found wrong is told: the facts have all of it.
const listedFaults = 3

func listed(faults []evidence.Fact) string {
	var all []string
	for _, f := range faults[:min(listedFaults, len(faults))] {
		all = append(all, f.Tried+": "+f.Found)
	}
	text := strings.Join(all, "; ")
	if n := len(faults) - listedFaults; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return text
}

// inPlace is the fact that the test was where it was to be: in a namespace that is not the daemon's, with nothing in it
// but a loopback interface.
func inPlace(answers netns.Answers) evidence.Fact {
	f := evidence.Fact{What: "interfaces but its own", Tried: "the list of interfaces", Found: strings.Join(answers.Interfaces, ", "), Verdict: evidence.Fail, Count: 1}
	own, err := os.Readlink("/proc/self/ns/net")
	switch {
	case err != nil || answers.Namespace == "":
		f.Found, f.Verdict = "it is not known in which network the test was", evidence.Inconclusive
	case own == answers.Namespace:
		f.Found = "the network is the machine's own"
	case f.Found == "lo":
		f.Verdict = evidence.Pass
	}
	return f
}
